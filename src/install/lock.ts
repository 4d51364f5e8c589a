/** One installer at a time. The lock is on the root folder itself, so that no file of it is left, and a container with the host's root meets it. */
import { closeSync, constants, openSync } from 'node:fs'
import { flock } from '../sys/ffi.ts'
import { lockHolder } from '../sys/lock/lock-holder.ts'
import { sleep } from '../sys/sleep.ts'
import { InstallError, stepFailed } from './errors.ts'

/** flock(2) operations, asm-generic/fcntl.h: exclusive, without waiting. */
const LOCK_EX_NB = 6
/** Longest wait for another installer, in milliseconds. */
const patience = 60_000

/** Runs `action` while no other installer works on `root` ('' for the node itself). @throws InstallError */
export async function whileLocked<T>(root: string, action: () => Promise<T>): Promise<T> {
  const path = root === '' ? '/' : root
  const fd = open(path)
  try {
    const end = performance.now() + patience
    while (!flock(fd, LOCK_EX_NB)) {
      if (performance.now() > end)
        throw new InstallError(
          `Cannot work on "${path}": another installer, ${lockHolder(fd) ?? 'a process that is not to be seen'}, has not ended within ${patience / 1000} s`,
        )
      sleep(50)
    }
    return await action()
  } finally {
    closeSync(fd)
  }
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    throw stepFailed('open the folder', path, error)
  }
}
