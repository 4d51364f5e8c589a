/**
 * How long one GC waits for devices that are nowhere to be seen. A pod can hide any number of them, and each may take its driver to be
 * started anew: what is at hand goes first, and waits have a bound for all together.
 */
import type { Machine } from '../kernel/machine.ts'

/** What a device of one GC still waits for is left to the next one. */
export class OutOfTime extends Error {
  constructor() {
    super('the time that this GC waits for devices is over')
    this.name = 'OutOfTime'
  }
}

/** The waits of all devices of one GC together, in milliseconds. */
export const gcMilliseconds = 30_000

/**
 * Runs `collect` for each of `all`: first with a machine that waits for nothing; then for those that had to wait, beginning at any of
 * them (`start`, from 0 to 1), with one whose waits take `milliseconds` at most together. Returns those that are left: nothing was
 * done for them, or what a call that is killed may have done.
 */
export function collectInTime<T>(
  machine: Machine,
  all: readonly T[],
  collect: (machine: Machine, one: T) => void,
  { milliseconds = gcMilliseconds, start = Math.random() }: { milliseconds?: number; start?: number } = {},
): readonly T[] {
  const waiting = all.filter((one) =>
    isLeft(() =>
      collect(
        waitingAtMost(machine, () => 0),
        one,
      ),
    ),
  )
  // Those at the front may never come home, and would be all that is ever waited for.
  const first = Math.floor(start * waiting.length)
  let left = milliseconds
  const waits = waitingAtMost(machine, (wanted) => {
    const granted = Math.min(wanted, left)
    left -= granted
    return granted
  })
  return [...waiting.slice(first), ...waiting.slice(0, first)].filter((one) =>
    isLeft(() => collect(waits, one)),
  )
}

/** The machine, whose sleep takes what `granted` gives of what is asked for, and throws {@link OutOfTime} where that is nothing. */
function waitingAtMost(machine: Machine, granted: (milliseconds: number) => number): Machine {
  return {
    sharedDir: machine.sharedDir,
    openKernel: (pod) => machine.openKernel(pod),
    openNetns: (path) => machine.openNetns(path),
    bootId: () => machine.bootId(),
    sha256: (text) => machine.sha256(text),
    withLock: (path, milliseconds, action) => machine.withLock(path, milliseconds, action),
    sleep: (milliseconds) => {
      const some = granted(milliseconds)
      if (some <= 0) throw new OutOfTime()
      machine.sleep(some)
    },
  }
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
