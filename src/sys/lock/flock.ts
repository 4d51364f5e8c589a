import { closeSync, constants, openSync } from 'node:fs'
import { waiting } from '../../lib/call/call.ts'
import type { OfKind } from '../../lib/error-kind.ts'
import { errorCode } from '../errno.ts'
import { flock } from '../ffi.ts'
import { isThere, openMade } from '../files.ts'
import { lockHolder } from './lock-holder.ts'
import { hasLine, waitInLine } from './queue.ts'

/** flock(2) operations, asm-generic/fcntl.h. */
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4
const LOCK_UN = 8

/** Thrown by `withLock` when the lock was not free in time. */
export class LockTimeout extends Error implements OfKind {
  readonly kind = 'lock-timeout'
  readonly path: string
  constructor(path: string, milliseconds: number, holder: string | undefined) {
    super(`Cannot lock "${path}" within ${milliseconds} ms: ${holder ?? 'another process'} holds it`)
    this.name = 'LockTimeout'
    this.path = path
  }
}

/**
 * Runs `action` under an exclusive lock on the file `path` (created, mode 0600, never removed: removing it would let two
 * processes hold "the" lock). Waits at most `milliseconds`, in the order of arrival, then throws LockTimeout. With 0 it takes
 * the lock if that is free, ahead of all who wait. The kernel drops the lock when the process dies. `held` is the locked
 * descriptor: a child that inherits it keeps the lock too.
 */
export function withLock<T>(path: string, milliseconds: number, action: (held: number) => T): T {
  const fd = openLock(path)
  try {
    // Never a blocking flock: only a signal handler could bound its wait.
    const take = () => flock(fd, LOCK_EX | LOCK_NB)
    const isFree = () => flock(fd, LOCK_SH | LOCK_NB) && flock(fd, LOCK_UN)
    const deadline = performance.now() + milliseconds
    const had =
      milliseconds <= 0
        ? take()
        : (!hasLine(fd) && take()) || waiting('lock', () => waitInLine({ fd, deadline, take, isFree }))
    if (!had) throw new LockTimeout(path, milliseconds, lockHolder(fd))
    return action(fd)
  } finally {
    closeSync(fd)
  }
}

/** @throws Node's errors of files, with the path */
function openLock(path: string): number {
  try {
    return openMade(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOCTTY)
  } catch (error) {
    // A lock changes nothing: an existing file can be locked on a read-only file system too.
    if (errorCode(error) !== 'EROFS' || !isThere(path)) throw error
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  }
}
