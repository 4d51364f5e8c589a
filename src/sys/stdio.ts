/**
 * stdin and stdout of this process. Their other ends belong to another program, which may have set the pipes to non-blocking and
 * may be late. Uses plain read(2) and write(2), because Node's stream classes cost several milliseconds to load.
 */
import { readSync, writeSync } from 'node:fs'

/** Loaded only by calls that have to wait, because every call pays for the imports above. */
const waiting = () => require('./stdio-wait.ts') as typeof import('./stdio-wait.ts')

/** Bytes of one read: more than most configs have. */
const pieceBytes = 64 << 10

/**
 * Reads `fd` to its end, as UTF-8.
 * @param patience milliseconds for which a non-blocking descriptor may bring nothing
 * @throws SystemError ETIMEDOUT after that; the error of read(2)
 */
export function readAll(fd: number, patience = 30_000): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const piece = new Uint8Array(pieceBytes)
  let text = ''
  for (;;) {
    const length = whenReady(patience, 'nothing came', () => readSync(fd, piece))
    if (length === 0) return text + decoder.decode()
    text += decoder.decode(piece.subarray(0, length), { stream: true })
  }
}

/** Everything up to the end of stdin. @throws as {@link readAll} */
export function readStdin(): string {
  return readAll(0)
}

/**
 * Writes all of a text.
 * @param patience milliseconds for which a non-blocking descriptor may take nothing
 * @throws SystemError ETIMEDOUT after that; the error of write(2)
 */
export function writeAll(fd: number, text: string, patience = 10_000): void {
  let rest: Uint8Array = new TextEncoder().encode(text)
  while (rest.length > 0)
    rest = rest.subarray(whenReady(patience, 'nobody took anything', () => writeSync(fd, rest)))
}

function whenReady(patience: number, words: string, action: () => number): number {
  try {
    return action()
  } catch (error) {
    return waiting().whenReady(error, patience, words, action)
  }
}
