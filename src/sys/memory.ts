/** Memory that a process of long life can give back. */
import { readFileSync, readlinkSync } from 'node:fs'
import { madvise } from './ffi.ts'

/** asm-generic/mman-common.h */
const MADV_DONTNEED = 4

/** Collects all garbage now. Takes some 10 ms of processor time with a heap of 10 MB. */
export function collectGarbage(): void {
  Bun.gc(true)
}

/**
 * Gives back pages of the executable's file. They stay in the page cache, where all processes of the executable share them, and come
 * back as they are needed. Takes a few milliseconds of processor time, then and when they come back.
 */
export function unloadExecutable(): void {
  for (const { start, length } of untouchedMappings(
    readFileSync('/proc/self/smaps', 'utf8'),
    readlinkSync('/proc/self/exe'),
  ))
    madvise(start, length, MADV_DONTNEED)
}

/** A range of addresses. */
export interface Mapping {
  readonly start: number
  /** Bytes. */
  readonly length: number
}

/**
 * The mappings of `executable` of which nothing can be lost: nobody can write to them, and no page of them was written to before that
 * (what the linker relocates). `smaps` is a text as /proc/PID/smaps has it (proc_pid_smaps(5)).
 */
export function untouchedMappings(smaps: string, executable: string): readonly Mapping[] {
  const found: Mapping[] = []
  let last: Mapping | undefined
  for (const line of smaps.split('\n')) {
    const [, start = '', end = '', path] =
      /^([0-9a-f]+)-([0-9a-f]+) (?:\S+ \S+ \S+ \d+ *)(\/.*)?$/.exec(line) ?? []
    if (start !== '') {
      const from = Number.parseInt(start, 16)
      const isOurs = path === executable && /^\S+ r-[x-]p /.test(line)
      last = isOurs ? { start: from, length: Number.parseInt(end, 16) - from } : undefined
    } else if (last !== undefined && /^Anonymous: +0 kB$/.test(line)) found.push(last)
  }
  return found
}
