/** Where lines go: a file or stderr, at once and in one write(2) each, so that neither an exit nor a SIGKILL loses one. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, writeSync } from 'node:fs'
import { octal, requireOwn, requireRegular, UntrustedFile } from '../trusted-file.ts'

/** How often, 1 ms apart, a full pipe is tried again: a log must not hold a pod up. */
const maxTries = 100

/** Writes a text to stderr. A closed or full one is no reason to fail. */
export function writeStderr(text: string): void {
  try {
    writeAll(2, text)
  } catch {
    // nobody listens
  }
}

/**
 * Writes to the file `path`, opened for appending when the first text comes (created with mode 0600, its folder is
 * not). From the first text on that it does not take, everything goes to stderr; `complain` is told why, once. What is no
 * regular file takes none, nor does the file that is our stdout, which is the result's. `isStrict`: nor does a file that is not a log of
 * ours, for its owner only, and no symbolic link is followed at the end of the path.
 */
export function fileWriter(
  path: string,
  complain: (line: string) => void,
  isStrict = false,
): (text: string) => void {
  let fd: number | undefined
  let failed = false
  return (text) => {
    if (!failed) {
      try {
        fd ??= openLog(path, isStrict)
        writeAll(fd, text)
        return
      } catch (error) {
        failed = true
        complain(`Cannot write log file "${path}": ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    writeStderr(text)
  }
}

/** O_NONBLOCK: nobody waits for the reader of a FIFO. */
const openFlags = constants.O_APPEND | constants.O_CREAT | constants.O_NOCTTY | constants.O_NONBLOCK

function openLog(path: string, isStrict: boolean): number {
  const flags = openFlags | (isStrict ? constants.O_RDWR | constants.O_NOFOLLOW : constants.O_WRONLY)
  const fd = openSync(path, flags, 0o600)
  try {
    const stats = fstatSync(fd)
    requireRegular(stats)
    if (isStdout(stats)) throw new UntrustedFile('it is our stdout, which belongs to the result')
    if (isStrict) requireLog(fd, stats)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function isStdout({ dev, ino }: Stats): boolean {
  try {
    const stdout = fstatSync(1)
    return stdout.dev === dev && stdout.ino === ino
  } catch {
    return false // closed
  }
}

/** How every line of a log begins. */
const beginning = '{"level":"'

/** A tenant's config must not write into what belongs to others, such as the system's own logs. */
function requireLog(fd: number, stats: Stats): void {
  requireOwn(stats)
  if ((stats.mode & 0o177) !== 0)
    throw new UntrustedFile(`its mode is ${octal(stats)}, must be 0600 where a network config names it`)
  if (stats.size === 0) return
  const found = new Uint8Array(beginning.length)
  const length = readSync(fd, found, 0, found.length, 0)
  if (new TextDecoder().decode(found.subarray(0, length)) !== beginning)
    throw new UntrustedFile('it is there already and is no log of vf-flower')
}

function writeAll(fd: number, text: string): void {
  let rest: Uint8Array = new TextEncoder().encode(text)
  for (let tries = 0; rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(fd, rest))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN') || ++tries > maxTries)
        throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
