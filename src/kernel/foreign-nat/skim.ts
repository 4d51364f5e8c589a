/**
 * Sorts out rules by their bytes before they are decoded. Chains of kube-proxy have thousands of rules, and nearly all of them want
 * another port or another address. Such a comparison always has the same bytes, and a search for bytes is much faster than a
 * decoder. A rule that is left may still not match.
 */
import { layout } from './packet.ts'

/** The keys of all questions, for one family. */
export interface Wanted {
  readonly family: 4 | 6
  /** Bytes of addresses as latin1. */
  readonly addresses: ReadonlySet<string>
  readonly ports: ReadonlySet<number>
}

/** Returns a function that finds the payloads of rules that may match a key. The datagram must begin at a multiple of 4 bytes. */
export function skimmer(wanted: Wanted): (datagram: Uint8Array) => Uint8Array[] {
  const { family, addresses, ports } = wanted
  const size = family === 4 ? 4 : 16
  const [port, address, tcp, udp] = [
    new Needle(comparison(2, 2, 2)),
    new Needle(comparison(1, layout[family].daddr, size)),
    new Needle(xtPorts('tcp')),
    new Needle(xtPorts('udp')),
  ]
  const isOther = (bytes: Buffer, start: number, end: number): boolean => {
    const at = address.within(bytes, start, end)
    if (at > 0 && !addresses.has(bytes.toString('latin1', at, at + size))) return true
    const [first, second] = [tcp.within(bytes, start, end), udp.within(bytes, start, end)]
    return (
      (first > 0 && isOtherXt(bytes, first, 11, wanted)) ||
      (second > 0 && isOtherXt(bytes, second, 8, wanted))
    )
  }
  return (datagram) => {
    const left: Uint8Array[] = []
    const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
    const words = new Uint32Array(datagram.buffer, datagram.byteOffset, datagram.length >> 2)
    for (const needle of [port, address, tcp, udp]) needle.begin()
    for (let at = 0; at < datagram.length; ) {
      const start = at
      const end = at + (words[at >> 2] as number)
      at = (end + 3) & ~3
      const value = port.within(bytes, start, end)
      if (value > 0 && !ports.has(((bytes[value] as number) << 8) | (bytes[value + 1] as number))) continue
      if (!isOther(bytes, start, end)) left.push(datagram.slice(start + headerSize, end))
    }
    return left
  }
}

/** struct nlmsghdr */
const headerSize = 16

/** A search for bytes in successive messages of a datagram. */
class Needle {
  readonly #needle: Buffer
  #next = -1

  constructor(needle: Buffer) {
    this.#needle = needle
  }

  /** Begins a new datagram. */
  begin(): void {
    this.#next = -1
  }

  /** The offset behind the bytes; 0 when the message from `start` to `end` does not contain them. */
  within(bytes: Buffer, start: number, end: number): number {
    if (this.#next < start) {
      const found = bytes.indexOf(this.#needle, start)
      this.#next = found < 0 ? bytes.length : found
    }
    return this.#next < end ? this.#next + this.#needle.length : 0
  }
}

/**
 * True for a struct xt_tcp or xt_udp (linux/netfilter/xt_tcpudp.h) that matches none of the wanted ports. The structure has the
 * first and last source port, the first and last destination port and, at offset `inverted`, the bits that invert them.
 */
export function isOtherXt(bytes: Buffer, at: number, inverted: number, { ports }: Wanted): boolean {
  if (((bytes[at + inverted] ?? 0) & 2) !== 0) return false
  const [first, last] = [bytes.readUInt16LE(at + 4), bytes.readUInt16LE(at + 6)]
  if (first === last) return !ports.has(first)
  for (const port of ports) if (first <= port && port <= last) return false
  return true
}

/** The bytes of an attribute without NLA_F_NESTED, as nf_tables writes it. `more`: bytes of the attribute behind `parts`. */
function attribute(type: number, parts: readonly Uint8Array[], more = 0): Buffer {
  const head = Buffer.alloc(4)
  const body = Buffer.concat(parts)
  head.writeUInt16LE(4 + body.length + more)
  head.writeUInt16LE(type, 2)
  return Buffer.concat([head, body, Buffer.alloc(-body.length & 3)])
}

function number(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return attribute(type, [bytes])
}

/** The bytes of "load `length` bytes of a header to register 1" and "compare register 1", up to the compared value. */
function comparison(base: number, offset: number, length: number): Buffer {
  const padding = -length & 3
  const load = [number(1, 1), number(2, base), number(3, offset), number(4, length)]
  const value = attribute(1, [], length)
  const data = attribute(3, [value], length + padding)
  const rest = length + padding
  const inner = [number(1, 1), number(2, 0), data]
  const compare = attribute(1, [attribute(1, [Buffer.from('cmp\0')]), attribute(2, inner, rest)], rest)
  return Buffer.concat([...load, compare])
}

/** The bytes of the match `tcp` or `udp` of x_tables, revision 0, up to its ports. Its data has 16 bytes with padding. */
function xtPorts(name: string): Buffer {
  return Buffer.concat([attribute(1, [Buffer.from(`${name}\0`)]), number(2, 0), attribute(3, [], 16)])
}
