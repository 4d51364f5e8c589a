/**
 * Locks on single bytes of a file that belong to an open file (fcntl(2), "Open file description locks"). They do not conflict with
 * the lock of flock on the same file. The file need not have the bytes. The kernel drops the locks with the last descriptor.
 */
import { SystemError } from '../errno.ts'
import { fcntl, microseconds } from '../ffi.ts'

/** fcntl(2), asm-generic/fcntl.h. */
const F_OFD_GETLK = 36
const F_OFD_SETLK = 37
const F_RDLCK = 0
const F_WRLCK = 1
const F_UNLCK = 2

/** linux/time.h: the same clock for all processes of the node, and nobody sets it. */
const CLOCK_MONOTONIC = 1

/** Microseconds since the boot of the node: the same for all of its processes. */
export function sinceBoot(): number {
  return microseconds(CLOCK_MONOTONIC)
}

/** The first byte of the upper half of the lockable bytes. */
export const lowerHalf = 2 ** 52

/** struct flock, asm-generic/fcntl.h: two 16-bit fields, 4 bytes of padding, start, length (0 = to the end), PID. */
const lock = new Int32Array(8)

/** True when somebody else has locked a byte of the lower half. Every call asks this, so the request needs no arithmetic. */
export function hasLockBelow(fd: number): boolean {
  // A length of 2^52.
  const below = Int32Array.of(F_WRLCK, 0, 0, 0, 0, 2 ** 20, 0, 0)
  fcntl(fd, F_OFD_GETLK, below)
  return below[0] !== F_UNLCK
}

function fill(type: number, start: number, length: number): void {
  // l_type and SEEK_SET.
  lock[0] = type
  lock[2] = start % 2 ** 32
  lock[3] = Math.floor(start / 2 ** 32)
  lock[4] = length % 2 ** 32
  lock[5] = Math.floor(length / 2 ** 32)
  lock[6] = 0
}

/** The first byte of a lock of somebody else within [`from`, `to`), of any one if there are several; undefined when there is none. */
export function lockedByte(fd: number, from: number, to: number): number | undefined {
  // A length of 0 would mean a range without an end.
  if (from >= to) return undefined
  fill(F_WRLCK, from, to - from)
  fcntl(fd, F_OFD_GETLK, lock)
  if (((lock[0] ?? 0) & 0xffff) === F_UNLCK) return undefined
  return ((lock[3] ?? 0) >>> 0) * 2 ** 32 + ((lock[2] ?? 0) >>> 0)
}

/** Locks one byte for this open file alone; false when somebody else has it. The descriptor must be open for writing. */
export function lockByte(fd: number, byte: number): boolean {
  try {
    fill(F_WRLCK, byte, 1)
    fcntl(fd, F_OFD_SETLK, lock)
    return true
  } catch (error) {
    // POSIX allows either errno.
    if (error instanceof SystemError && (error.code === 'EAGAIN' || error.code === 'EACCES')) return false
    throw error
  }
}

/** Locks one byte together with others that share it. */
export function shareByte(fd: number, byte: number): void {
  fill(F_RDLCK, byte, 1)
  fcntl(fd, F_OFD_SETLK, lock)
}

/** Unlocks one byte. */
export function unlockByte(fd: number, byte: number): void {
  fill(F_UNLCK, byte, 1)
  fcntl(fd, F_OFD_SETLK, lock)
}
