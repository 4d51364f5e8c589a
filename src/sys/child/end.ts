/** The output and the end of a child. */
import { closeSync, readSync } from 'node:fs'
import { errorCode } from '../errno.ts'
import { bindLibc, checked } from '../ffi.ts'

const signatures = {
  poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' },
  waitpid: { args: ['i32', 'ptr', 'i32'], returns: 'i32' },
} as const

let bound: ReturnType<typeof bindLibc<typeof signatures>> | undefined

function libc() {
  bound ??= bindLibc(signatures)
  return bound
}

/** poll.h */
const POLLIN = 1
/** Bytes of a struct pollfd. */
const pollfdBytes = 8
/** Bytes of a pipe, and of one read. */
const pieceBytes = 64 << 10

/**
 * Reads pipes to their ends, in whatever order their bytes come, and closes them. An undefined pipe has no bytes.
 * @param milliseconds longest time for all; undefined has no end
 * @param look called every {@link lookTime} while nothing comes
 * @returns the texts; `long` if there are more than `maxBytes` bytes, `late` if the time is over
 * @throws SystemError
 */
export function readPipes(
  pipes: readonly (number | undefined)[],
  maxBytes: number,
  milliseconds?: number,
  look?: () => void,
): readonly string[] | 'long' | 'late' {
  const deadline = milliseconds === undefined ? undefined : performance.now() + milliseconds
  const pieces: Uint8Array[][] = pipes.map(() => [])
  const open = new Set(pipes.filter((fd) => fd !== undefined))
  let rest = maxBytes
  try {
    while (open.size > 0) {
      // With one pipe, read(2) waits as well.
      const isPlain = open.size === 1 && deadline === undefined && look === undefined
      const ready = isPlain ? [...open] : readable([...open], deadline, look)
      if (ready.length === 0) return 'late'
      for (const fd of ready) {
        const piece = new Uint8Array(pieceBytes)
        const length = untilDone(() => readSync(fd, piece))
        rest -= length
        if (rest < 0) return 'long'
        pieces[pipes.indexOf(fd)]?.push(piece.subarray(0, length))
        if (length > 0) continue
        open.delete(fd)
        closeSync(fd)
      }
    }
  } finally {
    for (const fd of open) closeSync(fd)
  }
  return pieces.map((some) => Buffer.concat(some).toString())
}

/** Milliseconds between two looks. */
const lookTime = 250

/** Those of some descriptors that have bytes, or have come to their end; none when the value of performance.now() is over. */
function readable(descriptors: readonly number[], deadline?: number, look?: () => void): readonly number[] {
  const polled = new Uint8Array(pollfdBytes * descriptors.length)
  const view = new DataView(polled.buffer)
  for (const [index, fd] of descriptors.entries()) {
    view.setInt32(pollfdBytes * index, fd, true)
    view.setInt16(pollfdBytes * index + 4, POLLIN, true)
  }
  const left = () =>
    deadline === undefined ? undefined : Math.max(0, Math.ceil(deadline - performance.now()))
  for (;;) {
    const rest = left()
    const time = look === undefined ? (rest ?? -1) : Math.min(rest ?? lookTime, lookTime)
    const count = untilDone(() => checked('poll', libc().poll(polled, descriptors.length, time)))
    if (count > 0 || look === undefined || rest === 0) break
    look()
  }
  return descriptors.filter((_, index) => view.getInt16(pollfdBytes * index + 6, true) !== 0)
}

/**
 * Waits for the end of a child.
 * @throws SystemError ECHILD if there is no such child, or if somebody else has waited for it
 */
export function waitForEnd(pid: number): { readonly status: number | null; readonly signal: string | null } {
  const status = new Int32Array(1)
  untilDone(() => checked('waitpid', libc().waitpid(pid, status, 0)))
  const [word = 0] = status
  // The macros of sys/wait.h.
  const signal = word & 0x7f
  return signal === 0
    ? { status: (word >> 8) & 0xff, signal: null }
    : { status: null, signal: signalName(signal) }
}

function signalName(number: number): string {
  const { signals } = process.getBuiltinModule('node:os').constants
  return Object.entries(signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`
}

/** Repeats a call that a signal has interrupted. */
function untilDone<T>(call: () => T): T {
  for (;;) {
    try {
      return call()
    } catch (error) {
      if (errorCode(error) !== 'EINTR') throw error
    }
  }
}
