/**
 * The time that one GC waits for devices that are nowhere to be seen. A pod can hide any number of them, and for each one its driver
 * may have to start anew. So GC restores the devices at hand first, and all waits together have a bound.
 */

import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind, type OfKind } from '../../lib/error-kind.ts'

/** The time of one GC is over: the device is left to the next GC. */
export class OutOfTime extends Error implements OfKind {
  readonly kind = 'out-of-time'
  constructor() {
    super('the time that this GC waits for devices is over')
    this.name = 'OutOfTime'
  }
}

/** One GC goes on with devices for which it has to wait for so many milliseconds, all together. */
export const gcMilliseconds = 30_000

/** The waits that one device may have. */
export interface Waits {
  /** Its sleep, and its waits for locks, throw {@link OutOfTime} when the time is over. */
  readonly machine: Machine
  /** True when a wait for a lock was cut short: a failure since then may come from that. */
  isShort(): boolean
  /** Runs an action that is given the milliseconds for which it may wait for a lock; throws OutOfTime where it can't be had so soon. */
  locking(action: (milliseconds: number) => void): void
}

/** For tests: other times than those of the machine. */
export interface Clock {
  readonly milliseconds?: number
  /** From 0 to 1: with which of those that wait it begins. */
  readonly start?: number
  /** Milliseconds since whenever. */
  readonly now?: () => number
}

/**
 * Runs `collect` for each of `all`: first without any wait; then for those that had to wait, beginning at any of them, until the time
 * is over. Returns those that are left: nothing is done of them, or a part, as when a call is killed.
 */
export function collectInTime<T>(
  machine: Machine,
  all: readonly T[],
  collect: (waits: Waits, one: T) => void,
  { milliseconds = gcMilliseconds, start = Math.random(), now = () => performance.now() }: Clock = {},
): readonly T[] {
  const waiting = all.filter((one) =>
    isLeft(() =>
      collect(
        waitsOf(machine, () => 0),
        one,
      ),
    ),
  )
  // The first ones may never come home. If each GC began with them, it would never wait for any other.
  const first = Math.floor(start * waiting.length)
  const end = now() + milliseconds
  const left = () => Math.max(0, Math.ceil(end - now()))
  return [...waiting.slice(first), ...waiting.slice(0, first)].filter((one) =>
    isLeft(() => collect(waitsOf(machine, left), one)),
  )
}

function waitsOf(machine: Machine, left: () => number): Waits {
  let short = false
  return {
    isShort: () => short,
    machine: {
      sharedDir: machine.sharedDir,
      openKernel: (pod) => machine.openKernel(pod),
      openNetns: (path) => machine.openNetns(path),
      bootId: () => machine.bootId(),
      sha256: (text) => machine.sha256(text),
      startProgram: (...program) => machine.startProgram(...program),
      withLock: (path, milliseconds, action) => {
        const some = Math.min(milliseconds, left())
        let isHeld = false
        try {
          return machine.withLock(path, some, (held) => {
            isHeld = true
            return action(held)
          })
        } catch (error) {
          if (isHeld || some === milliseconds || !isTimeout(error)) throw error
          short = true
          throw new OutOfTime()
        }
      },
      sleep: (milliseconds) => {
        const some = Math.min(milliseconds, left())
        if (some <= 0) throw new OutOfTime()
        machine.sleep(some)
      },
    },
    locking: (action) => {
      try {
        action(left())
      } catch (error) {
        throw isTimeout(error) ? new OutOfTime() : error
      }
    },
  }
}

function isTimeout(error: unknown): boolean {
  return isOfKind(error, 'lock-timeout')
}

function isLeft(action: () => void): boolean {
  try {
    action()
    return false
  } catch (error) {
    if (error instanceof OutOfTime) return true
    throw error
  }
}
