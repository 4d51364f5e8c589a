/** The destination of a translation, as text. */
import { ipFromBytes } from '../../lib/ip.ts'

/** The one address and port that a translation gives. */
export interface Destination {
  readonly address: Uint8Array
  readonly port: Uint8Array
}

/** Stands for a part that is not shown. */
export const more = '…'

/**
 * Address and port of a translation, as nft writes them. Undefined stands for a part that the rule does not change, and an empty
 * value for a part that depends on the packet.
 */
export function toWords(address: Uint8Array | undefined, port: Uint8Array | undefined): string {
  const shown = (bytes: Uint8Array | undefined, words: (bytes: Uint8Array) => string) =>
    bytes === undefined ? '' : bytes.length === 0 ? more : words(bytes)
  const [to, at] = [shown(address, ipFromBytes), shown(port, portWords)]
  if (address === undefined) return `redirect${at === '' ? '' : ` to :${at}`}`
  return `dnat to ${at === '' ? to : `${to.includes(':') ? `[${to}]` : to}:${at}`}`
}

/** A port of two bytes, as decimal text. */
export function portWords(bytes: Uint8Array): string {
  return String(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0))
}
