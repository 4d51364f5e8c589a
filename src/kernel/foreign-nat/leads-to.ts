/** Where a translation leads, in words. */
import { ipFromBytes } from '../../lib/ip.ts'

/** The one address and port that a translation gives. */
export interface Destination {
  readonly address: Uint8Array
  readonly port: Uint8Array
}

/** What is not shown. */
export const more = '…'

/**
 * Address and port of a translation, as nft writes them; undefined for what the rule does not change, an empty value for what
 * only the packet tells.
 */
export function toWords(address: Uint8Array | undefined, port: Uint8Array | undefined): string {
  const shown = (bytes: Uint8Array | undefined, words: (bytes: Uint8Array) => string) =>
    bytes === undefined ? '' : bytes.length === 0 ? more : words(bytes)
  const [to, at] = [shown(address, ipFromBytes), shown(port, portWords)]
  if (address === undefined) return `redirect${at === '' ? '' : ` to :${at}`}`
  return `dnat to ${at === '' ? to : `${to.includes(':') ? `[${to}]` : to}:${at}`}`
}

/** A port of two bytes. */
export function portWords(bytes: Uint8Array): string {
  return String(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0))
}
