/** The first packet of a connection to a host port, as far as it is known. Sender and interface are unknown. */
import { ipFamily, ipToBytes } from '../../lib/ip.ts'
import type { FreedKey } from '../api/reservations.ts'

/** Partly known bytes. */
export interface Partly {
  readonly bytes: Uint8Array
  /** 1 for a known byte, 0 for an unknown byte. */
  readonly known: Uint8Array
}

/** A packet to one key. */
export interface Packet {
  readonly key: FreedKey
  readonly family: 4 | 6
  /** The destination address. */
  readonly address: Uint8Array
  /** IPPROTO_* of the transport protocol. */
  readonly proto: number
  readonly port: number
  /** The network header and the first 8 bytes of the transport header. */
  readonly headers: readonly [network: Partly, transport: Partly]
}

/** IPPROTO_*, linux/in.h. */
export const protocols = { tcp: 6, udp: 17, sctp: 132 } as const
/** Offsets of protocol and destination in the network header, and its size, in bytes. */
export const layout = { 4: { proto: 9, daddr: 16, size: 20 }, 6: { proto: 6, daddr: 24, size: 40 } } as const

/** The first packet of a connection to a key. */
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

/** A port in network order. */
export function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

/** Limit of bytes, above the size of every register and header. */
const mostBytes = 128

/** `length` unknown bytes. @throws RangeError when `length` is above {@link mostBytes} */
export function unknown(length: number): Partly {
  if (length > mostBytes) throw new RangeError(`Cannot load ${length} bytes: must be at most ${mostBytes}`)
  return { bytes: new Uint8Array(length), known: new Uint8Array(length) }
}

/** Fully known bytes. */
export function all(bytes: Uint8Array): Partly {
  return { bytes, known: new Uint8Array(bytes.length).fill(1) }
}

/** A part of some bytes. Bytes outside of them are unknown. */
export function part({ bytes, known }: Partly, at: number, length: number): Partly {
  const taken = unknown(length)
  taken.bytes.set(bytes.subarray(at, at + length))
  taken.known.set(known.subarray(at, at + length))
  return taken
}

/** True for equal bytes, and when both are undefined. */
export function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  return one.length === other.length && one.every((byte, at) => byte === other[at])
}

/** Writes known bytes at offset `at`. */
export function put(into: Partly, at: number, bytes: Uint8Array): void {
  into.bytes.set(bytes, at)
  into.known.fill(1, at, at + bytes.length)
}

/** True when every byte is known. */
export function isKnown({ known }: Partly): boolean {
  return !known.includes(0)
}
