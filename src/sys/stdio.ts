/**
 * stdin and stdout of a process whose other ends belong to somebody else: who made the pipes may have set them to
 * non-blocking, and may be late. Plain read(2) and write(2): Node's stream classes cost several milliseconds to load.
 */
import { readSync, writeSync } from 'node:fs'
import { errorCode, SystemError } from './errno.ts'
import { sleep } from './sleep.ts'

/** How often a descriptor that is not ready is tried again, in milliseconds. */
const pause = 5
const ETIMEDOUT = 110

/**
 * Everything up to the end of `fd`, as UTF-8.
 * @param patience milliseconds that a non-blocking descriptor may bring nothing
 * @throws SystemError ETIMEDOUT after that; what read(2) answers
 */
export function readAll(fd: number, patience = 30_000): string {
  const parts: Uint8Array[] = []
  for (;;) {
    const part = Buffer.allocUnsafe(64 << 10)
    const length = whenReady(patience, 'nothing came', () => readSync(fd, part))
    if (length === 0) return Buffer.concat(parts).toString('utf8')
    parts.push(part.subarray(0, length))
  }
}

/**
 * Writes all of a text.
 * @param patience milliseconds that a non-blocking descriptor may take nothing
 * @throws SystemError ETIMEDOUT after that; what write(2) answers
 */
export function writeAll(fd: number, text: string, patience = 10_000): void {
  let rest: Uint8Array = new TextEncoder().encode(text)
  while (rest.length > 0)
    rest = rest.subarray(whenReady(patience, 'nobody took anything', () => writeSync(fd, rest)))
}

function whenReady(patience: number, words: string, action: () => number): number {
  let began: number | undefined
  for (;;) {
    try {
      return action()
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error
    }
    began ??= performance.now()
    if (performance.now() - began >= patience)
      throw new SystemError('poll', ETIMEDOUT, `${words} for ${patience} ms`)
    sleep(pause)
  }
}
