// Finds the few messages of a datagram that hold certain bytes, without decoding the others. Of a dump of ten thousand filters only
// a handful is wanted, and decoding every message would be most of the cost of the dump.
import { type Message, NLM_F, NLMSG, nlmsghdr, parseDatagram } from './message.ts'

/** The messages that hold one of `needles`, messages about the dump itself, and messages with NLM_F_DUMP_INTR. */
export function sieve(datagram: Uint8Array, needles: readonly Uint8Array[]): Message[] {
  const hits = positions(datagram, needles)
  const kept: Message[] = []
  let next = 0
  for (let at = 0; at < datagram.length; ) {
    const length = lengthAt(datagram, at)
    while (next < hits.length && (hits[next] as number) < at) next++
    const type = byte(datagram, at + 4) | (byte(datagram, at + 5) << 8)
    const isHit = next < hits.length && (hits[next] as number) < at + length
    if (isHit || type < NLMSG.NLMSG_MIN_TYPE || byte(datagram, at + 6) & NLM_F.NLM_F_DUMP_INTR)
      kept.push(...parseDatagram(datagram.subarray(at, at + length)))
    at += (length + 3) & ~3
  }
  return kept
}

/** The first message of a datagram. */
export function firstOf(datagram: Uint8Array): Message | undefined {
  return parseDatagram(datagram.subarray(0, lengthAt(datagram, 0)))[0]
}

/** The first message of a dump, if it is an object. */
export function firstObject(datagram: Uint8Array): { readonly first?: Message } {
  const first = firstOf(datagram)
  return first === undefined || first.type < NLMSG.NLMSG_MIN_TYPE ? {} : { first }
}

/** The offsets of the needles, in order. */
function positions(datagram: Uint8Array, needles: readonly Uint8Array[]): number[] {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.length)
  const found = needles.flatMap((needle) => {
    const all: number[] = []
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) all.push(at)
    return all
  })
  return found.sort((one, other) => one - other)
}

/** nlmsg_len of the message at `at`. @throws RangeError for a length that does not fit */
function lengthAt(datagram: Uint8Array, at: number): number {
  const rest = datagram.length - at
  const length =
    rest < nlmsghdr.size
      ? 0
      : byte(datagram, at) +
        byte(datagram, at + 1) * 0x100 +
        byte(datagram, at + 2) * 0x10000 +
        byte(datagram, at + 3) * 0x1000000
  if (length < nlmsghdr.size || length > rest)
    throw new RangeError(`Cannot decode netlink message: it says ${length} bytes, ${rest} are there`)
  return length
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number
}
