/** Where lines go: a file or stderr, at once and in one write(2) each, so that neither an exit nor a SIGKILL loses one. */
import { constants, openSync, writeSync } from 'node:fs'

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
 * not). From the first text on that it does not take, everything goes to stderr; `complain` is told why, once.
 */
export function fileWriter(path: string, complain: (line: string) => void): (text: string) => void {
  let fd: number | undefined
  let failed = false
  return (text) => {
    if (!failed) {
      try {
        fd ??= openSync(path, openFlags, 0o600)
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
const openFlags =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOCTTY | constants.O_NONBLOCK

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
