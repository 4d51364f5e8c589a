/**
 * The line of processes that wait for one lock. A process in line locks one byte of the lock's file; the number of the byte is the time of
 * its arrival. The process has its turn when hardly any byte before its own is locked. So the kernel itself keeps the line: a process
 * that dies has left it. The text of the file does not matter, and programs that know only flock stand beside the line.
 */

import { SystemError } from '../errno.ts'
import { sleep } from '../sleep.ts'
import {
  hasLockBelow,
  lockByte,
  lockedByte,
  lowerHalf,
  shareByte,
  sinceBoot,
  unlockByte,
} from './byte-locks.ts'

/** The means by which a process waits in line. */
export interface Line {
  /** The lock's file, open for writing. */
  readonly fd: number
  /** The value of performance.now() at which to give up. */
  readonly deadline: number
  /** Tries to take the lock; true on success. */
  take(): boolean
  /** True when nobody holds the lock. */
  isFree(): boolean
}

/** In the upper half of the bytes, processes in line mark the places of the lower half that they skip. */
const skipMarks = lowerHalf

/** Milliseconds for which processes in front may leave a free lock alone. After that the others skip them as stopped. */
const patience = 300

/** True when a process waits in line; false where the file system can't tell. */
export function hasLine(fd: number): boolean {
  try {
    return hasLockBelow(fd)
  } catch (error) {
    return noLine(error)
  }
}

/**
 * Waits for the turn and takes the lock; false when the deadline came first. A file system without such locks, or a file that may
 * only be read, has no line: there the lock is tried again and again.
 */
export function waitInLine(line: Line): boolean {
  const ticket = takePlace(line.fd)
  if (ticket === undefined) return retry(line)
  const attempt = newAttempts(line, ticket)
  try {
    for (;;) {
      const pause = attempt()
      if (pause === 'had') return true
      const left = line.deadline - performance.now()
      // A process whose time is over has waited longest: it tries once more, out of turn.
      if (left <= 0) return line.take()
      sleep(Math.min(pause, left))
    }
  } finally {
    // A child that inherits the descriptor would stay in line.
    unlockByte(line.fd, ticket)
  }
}

/** Takes a place in line. Two processes that come within the same microsecond get places one after the other. */
function takePlace(fd: number): number | undefined {
  try {
    for (let byte = sinceBoot(); ; byte++) if (lockByte(fd, byte)) return byte
  } catch (error) {
    noLine(error)
    return undefined
  }
}

/** Reports no line after a system call that failed; throws any other error. */
function noLine(error: unknown): false {
  if (error instanceof SystemError) return false
  throw error
}

/** Milliseconds between two tries for a lock without a line. */
const pollInterval = 10

function retry({ deadline, take }: Line): boolean {
  for (;;) {
    if (take()) return true
    const left = deadline - performance.now()
    if (left <= 0) return false
    sleep(Math.min(pollInterval, left))
  }
}

/**
 * The number of places in front that try for the lock, the first of them most often. With one place only, a free lock would lie on a busy
 * processor until the first process in line gets to run, at every turn.
 */
const front = 4

/** The most places ahead that are counted: a process farther back looks as seldom as one with this many ahead. */
const mostCounted = 25

/**
 * Returns a function that takes the lock if it is our turn, else returns the milliseconds until the next look. The pause is shorter the
 * nearer the turn is, so that a long line costs no more than a short one.
 */
function newAttempts(line: Line, ticket: number): () => number | 'had' {
  const { fd, take } = line
  const passed = new Set<number>()
  const ahead = (from: number, to: number): number | undefined => {
    const found = lockedByte(fd, from, to)
    if (found === undefined || !passed.has(found)) return found
    return ahead(from, found) ?? ahead(found + 1, to)
  }
  const count = () => {
    let number = 0
    for (let one = ahead(0, ticket); one !== undefined && number < mostCounted; one = ahead(one + 1, ticket))
      number++
    return number
  }
  let head: number | undefined
  let since = performance.now()
  let watch = newWatch(line)
  return () => {
    for (;;) {
      const place = count()
      if (place < front && take()) return 'had'
      const first = ahead(0, ticket)
      if (first !== head) {
        head = first
        since = performance.now()
        watch = newWatch(line)
      }
      const spent = performance.now() - since
      const pause = Math.max(1, 4 * place, Math.min(10, spent / 100))
      // The process at the nearest place begins to watch; the next ones follow later, because the nearest may be stopped too.
      if (first === undefined || spent < (patience / 3) * Math.min(place, 10)) return pause
      // A process that finds the first one stopped marks its place for all while it waits, so that not each turn has to find out.
      if (lockedByte(fd, skipMarks + first, skipMarks + first + 1) === undefined && !watch())
        return Math.max(pause, 10)
      passed.add(first)
      shareByte(fd, skipMarks + first)
    }
  }
}

/**
 * Returns a function that tells whether the lock was free at each of its calls for {@link patience}. A call takes the lock for a moment,
 * so only a process that has reason to think that the first in line is stopped may call it.
 */
function newWatch({ isFree }: Line): () => boolean {
  let began = 0
  let last = Number.NEGATIVE_INFINITY
  return () => {
    const now = performance.now()
    const isFreeNow = isFree()
    // A process that was stopped itself knows nothing of the time in between.
    if (!isFreeNow || now - last > patience) began = now
    last = now
    return isFreeNow && now - began >= patience
  }
}
