/** Bytes as lower-case hexadecimal digits and back. */
import { hexDigit } from './mac.ts'

/** `[0x76, 0x0f]` -> `760f` */
export function toHex(bytes: Uint8Array): string {
  // Uint8Array's own is younger than Node 20; the engine of the executable has it, and runs no loop of ours as fast.
  if ('toHex' in bytes && typeof bytes.toHex === 'function') return String(bytes.toHex())
  let text = ''
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16)
  return text
}

/** `760f` -> `[0x76, 0x0f]`. Throws RangeError for an odd number of characters and for one that is no digit. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(text.length / 2))
  for (const at of bytes.keys()) {
    const high = hexDigit(text.charCodeAt(2 * at))
    const low = hexDigit(text.charCodeAt(2 * at + 1))
    if (high < 0 || low < 0) throw new RangeError(`Cannot parse "${text}": need hexadecimal digits`)
    bytes[at] = high * 16 + low
  }
  return bytes
}
