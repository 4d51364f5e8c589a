import { closeSync, constants } from 'node:fs'
import { waiting } from '../../lib/call/call.ts'
import { openMade } from '../files.ts'
import { sleep } from '../sleep.ts'
import { lockByte } from './byte-locks.ts'
import { LockTimeout } from './flock.ts'
import { byteHolder } from './lock-holder.ts'

/** Pauses between two tries, in milliseconds: from the first to the last. */
const firstPause = 1
const lastPause = 10

/** A byte of a file as a lock. */
export interface ByteLock {
  /** Path of the file, which is created with mode 0600 and never removed. */
  readonly path: string
  /** Number of the byte, below 2^53. The file need not have the byte. */
  readonly byte: number
}

/**
 * Runs `action` with one byte of a file locked for this process alone. Many locks fit into one file in this way, and none leaves a file
 * behind. The kernel drops the lock when the process dies. No child inherits the lock. `still` runs before each wait: an error that it
 * throws ends the wait.
 * @throws LockTimeout after `milliseconds`; Node's errors of files for a file that can't be made
 */
export function withByteLock<T>(
  { path, byte }: ByteLock,
  milliseconds: number,
  action: () => T,
  still: () => void = () => undefined,
): T {
  // Node opens every file with O_CLOEXEC.
  const fd = openMade(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOCTTY)
  try {
    if (!lockByte(fd, byte) && !waiting('lock', () => waitFor(fd, byte, milliseconds, still)))
      throw new LockTimeout(path, milliseconds, byteHolder(fd, byte))
    return action()
  } finally {
    closeSync(fd)
  }
}

/** False when the time is over. */
function waitFor(fd: number, byte: number, milliseconds: number, still: () => void): boolean {
  const deadline = performance.now() + milliseconds
  for (let pause = firstPause; ; pause = Math.min(2 * pause, lastPause)) {
    still()
    const left = deadline - performance.now()
    if (left <= 0) return false
    sleep(Math.min(pause, left))
    if (lockByte(fd, byte)) return true
  }
}
