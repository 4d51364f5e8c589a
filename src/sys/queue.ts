/**
 * The line of those who wait for one lock. Who comes locks a byte of the lock's file whose number is the time of its coming,
 * and has its turn when hardly anybody has a byte before that one. So the kernel itself keeps the line: whoever dies has left it, the
 * text of the file is nobody's business, and those who know only flock stand beside the line, as before.
 */
import {
  hasLockBelow,
  lockByte,
  lockedByte,
  lowerHalf,
  shareByte,
  sinceBoot,
  unlockByte,
} from './byte-locks.ts'
import { SystemError } from './errno.ts'
import { sleep } from './sleep.ts'

/** What waits in line goes by. */
export interface Line {
  /** The lock's file, open for writing. */
  readonly fd: number
  /** performance.now() at which to give up. */
  readonly deadline: number
  /** Tries to have the lock; true when it is had. */
  take(): boolean
  /** True when nobody has the lock. */
  isFree(): boolean
}

/** In the upper half of the bytes those who wait say which places of the lower half they pass by. */
const marks = lowerHalf

/** How long those in front may leave a free lock alone before the others pass them by, in milliseconds: they were stopped. */
const patience = 300

/** True when somebody waits in line; where nobody can tell there is none. */
export function hasLine(fd: number): boolean {
  try {
    return hasLockBelow(fd)
  } catch (error) {
    return noLine(error)
  }
}

/**
 * Waits for the turn and takes the lock; false when the deadline came first. A file system that has no such locks, and a file that
 * may only be read, has no line: the lock is tried again and again then.
 */
export function waitInLine(line: Line): boolean {
  const ticket = draw(line.fd)
  if (ticket === undefined) return retry(line)
  const lookAhead = lookerAhead(line, ticket)
  try {
    for (;;) {
      const pause = lookAhead()
      if (pause === 'had') return true
      const left = line.deadline - performance.now()
      // Whoever has come to the end of its time has waited longest.
      if (left <= 0) return line.take()
      sleep(Math.min(pause, left))
    }
  } finally {
    // A child that inherits the descriptor would stand in line.
    unlockByte(line.fd, ticket)
  }
}

/** The place in line. Two that come within a microsecond stand one behind the other. */
function draw(fd: number): number | undefined {
  try {
    for (let byte = sinceBoot(); ; byte++) if (lockByte(fd, byte)) return byte
  } catch (error) {
    noLine(error)
    return undefined
  }
}

/** Nothing, where the reason is that there can be no line. */
function noLine(error: unknown): false {
  if (error instanceof SystemError) return false
  throw error
}

/** How often a lock is looked at where there is no line, in milliseconds. */
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
 * So many in front try to have the lock, the first of them most often. A processor that others are on would else let a free lock
 * lie until the first in line gets to run, at every turn.
 */
const front = 4

/** So many before us are counted: who is farther back looks as seldom as the one behind the last of them. */
const farthest = 25

/**
 * Returns a function that takes the lock if it is our turn, else says in how many milliseconds to look again: the nearer the
 * turn the sooner, so that a long line costs no more than a short one.
 */
function lookerAhead(line: Line, ticket: number): () => number | 'had' {
  const { fd, take } = line
  const passed = new Set<number>()
  const ahead = (from: number, to: number): number | undefined => {
    const found = lockedByte(fd, from, to)
    if (found === undefined || !passed.has(found)) return found
    return ahead(from, found) ?? ahead(found + 1, to)
  }
  const count = () => {
    let number = 0
    for (let one = ahead(0, ticket); one !== undefined && number < farthest; one = ahead(one + 1, ticket))
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
      // The nearest begins to watch, unless it is stopped, too.
      if (first === undefined || spent < (patience / 3) * Math.min(place, 10)) return pause
      // Whoever has found out says so to all, as long as it waits: each turn would else begin with finding out.
      if (lockedByte(fd, marks + first, marks + first + 1) === undefined && !watch())
        return Math.max(pause, 10)
      passed.add(first)
      shareByte(fd, marks + first)
    }
  }
}

/**
 * Returns a function that says whether the lock has been free for {@link patience}, whenever it was asked. A look takes the lock for
 * a moment: it is for those who have reason to think that the first in line does not want it.
 */
function newWatch({ isFree }: Line): () => boolean {
  let began = 0
  let last = Number.NEGATIVE_INFINITY
  return () => {
    const now = performance.now()
    const isFreeNow = isFree()
    // Who has not looked for a while, having been stopped itself, knows nothing of the time between.
    if (!isFreeNow || now - last > patience) began = now
    last = now
    return isFreeNow && now - began >= patience
  }
}
