/** Bytes as lower-case hexadecimal digits and back. */
import { hexDigit } from './mac.ts'

/** `[0x76, 0x0f]` -> `760f` */
export function toHex(bytes: Uint8Array): string {
  // Node 20 lacks Uint8Array.toHex. The engine of the executable has it, and it is faster than a loop of ours.
  if ('toHex' in bytes && typeof bytes.toHex === 'function') return String(bytes.toHex())
  let text = ''
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16)
  return text
}

/** `760f` -> `[0x76, 0x0f]`. Throws RangeError for an odd number of characters and for a character that is no digit. */
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
