/** Writes log lines to a file or to stderr, at once and in one write(2) each, so that neither an exit nor a SIGKILL loses a line. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, writeSync } from 'node:fs'
import { atCallEnd, tellCaller } from '../call/call.ts'
import { octal, requireOwn, requireRegular, UntrustedFile } from '../trusted-file.ts'

/** Most tries, 1 ms apart, to write into a full pipe: a log must not hold a pod up. */
const maxTries = 100

/** Writes a text to the caller's stderr. A closed or full stderr is no error. */
export function writeStderr(text: string): void {
  try {
    if (!tellCaller(text)) writeAll(2, text)
  } catch {
    // stderr is closed
  }
}

/**
 * Writes texts to the file `path`. The first text opens the file for appending (created with mode 0600; the folder must exist).
 * After the first text that can't be written, all texts go to stderr, and `complain` gets the reason once. A file that is not
 * regular is refused; so is the file that is our stdout, which belongs to the result. `isStrict`: an existing file must be a log of
 * ours, for its owner only, and the path must not end in a symbolic link.
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
        fd ??= untilCallEnds(openLog(path, isStrict))
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

/** O_NONBLOCK: opening a FIFO must not wait for a reader. */
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

function untilCallEnds(fd: number): number {
  atCallEnd(() => closeSync(fd))
  return fd
}

function isStdout({ dev, ino }: Stats): boolean {
  try {
    const stdout = fstatSync(1)
    return stdout.dev === dev && stdout.ino === ino
  } catch {
    return false // closed
  }
}

/** The beginning of every log line. */
const beginning = '{"level":"'

/** A tenant's config must not make us write into files of others, such as the system's own logs. */
function requireLog(fd: number, stats: Stats): void {
  requireOwn(stats)
  if ((stats.mode & 0o177) !== 0)
    throw new UntrustedFile(`its mode is ${octal(stats)}; must be 0600 where a network config names it`)
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
