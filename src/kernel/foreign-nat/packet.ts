/** The first packet of a connection to a host port: what is known of it. Who sends it, and by which interface, is not. */
import { ipFamily, ipToBytes } from '../../lib/ip.ts'
import type { FreedKey } from '../api/reservations.ts'

/** Bytes of which only some are known. */
export interface Partly {
  readonly bytes: Uint8Array
  /** 1 for a byte that is known. */
  readonly known: Uint8Array
}

/** A packet to one key. */
export interface Packet {
  readonly key: FreedKey
  readonly family: 4 | 6
  /** Of the destination. */
  readonly address: Uint8Array
  /** IPPROTO_*. */
  readonly proto: number
  readonly port: number
  /** Network and transport header. */
  readonly headers: readonly [network: Partly, transport: Partly]
}

/** IPPROTO_*, linux/in.h. */
export const protocols = { tcp: 6, udp: 17, sctp: 132 } as const
/** Where the headers have the protocol and the destination. */
export const layout = { 4: { proto: 9, daddr: 16, size: 20 }, 6: { proto: 6, daddr: 24, size: 40 } } as const

/** The packet to a key. */
export function packetTo(key: FreedKey): Packet {
  const family = ipFamily(key.address)
  const address = ipToBytes(key.address)
  const proto = protocols[key.proto]
  const [network, transport] = [unknown(layout[family].size), unknown(8)]
  put(network, layout[family].proto, Uint8Array.of(proto))
  put(network, layout[family].daddr, address)
  put(transport, 2, portBytes(key.port))
  return { key, family, address, proto, port: key.port, headers: [network, transport] }
}

/** A port as packets have it. */
export function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/** More than any register or header has. */
const mostBytes = 128

/** So many bytes, none of which is known. Throws RangeError for more than there can be. */
export function unknown(length: number): Partly {
  if (length > mostBytes) throw new RangeError(`Cannot load ${length} bytes: at most ${mostBytes}`)
  return { bytes: new Uint8Array(length), known: new Uint8Array(length) }
}

/** Bytes that are all known. */
export function all(bytes: Uint8Array): Partly {
  return { bytes, known: new Uint8Array(bytes.length).fill(1) }
}

/** Part of some bytes; what lies outside is unknown. */
export function part({ bytes, known }: Partly, at: number, length: number): Partly {
  const taken = unknown(length)
  taken.bytes.set(bytes.subarray(at, at + length))
  taken.known.set(known.subarray(at, at + length))
  return taken
}

/** True for equal bytes, and where there are none of either. */
export function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  return one.length === other.length && one.every((byte, at) => byte === other[at])
}

/** Writes known bytes. */
export function put(into: Partly, at: number, bytes: Uint8Array): void {
  into.bytes.set(bytes, at)
  into.known.fill(1, at, at + bytes.length)
}

/** True when every byte is known. */
export function isKnown({ known }: Partly): boolean {
  return !known.includes(0)
}
