/** Memory that a process of long life can give back. */
import { readFileSync, readlinkSync } from 'node:fs'
import { madvise } from '../ffi.ts'
import { untouchedMappings } from './mappings.ts'

/** asm-generic/mman-common.h */
const MADV_DONTNEED = 4

/** Collects all garbage now. Takes some 10 ms of processor time with a heap of 10 MB. */
export function collectGarbage(): void {
  Bun.gc(true)
}

/** Milliseconds after which the engine has shrunk: it does so when no code runs. */
const shrinkTime = 100

/**
 * Gives back pages of the executable's file. They stay in the page cache, where all processes of the executable share them, and come
 * back as they are needed. A process that has more than `mostOwn` bytes of its own also drops compiled code, which is some 20 MB after
 * a while; the next run of everything is slower by a third then.
 */
export function giveBackMemory(mostOwn: number): void {
  if (ownMemory() > mostOwn) {
    Bun.shrink()
    setTimeout(unloadExecutable, shrinkTime).unref()
  } else unloadExecutable()
}

/** Bytes in memory that are no pages of a file (`RssAnon` of proc_pid_status(5)). */
function ownMemory(): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1024
}

function unloadExecutable(): void {
  for (const { start, length } of untouchedMappings(
    readFileSync('/proc/self/smaps', 'utf8'),
    readlinkSync('/proc/self/exe'),
  ))
    madvise(start, length, MADV_DONTNEED)
}
