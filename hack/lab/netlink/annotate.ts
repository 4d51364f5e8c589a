// Bytes as labelled hexadecimal, one line for each field and attribute. In: a message, or a codec with its bytes. Out: text that
// bytesOf() turns back into the bytes. Bytes that don't fit the codec are shown as they are, never as an error.
import { hexOctets } from '../../../src/lib/mac.ts'
import { ByKind } from '../../../src/netlink/codec/attrs.ts'
import { type Field, List, Struct } from '../../../src/netlink/codec/struct.ts'
import { type Codec, bytes as rawBytes, s32, u16, u32 } from '../../../src/netlink/codec/wire.ts'
import { isNest, partsOf } from '../../../src/netlink/inspect.ts'
import {
  extack,
  Family,
  type Message,
  NLM_F,
  NLMSG,
  nlmsghdr,
  parseDatagram,
} from '../../../src/netlink/message.ts'
import { familyOf } from './families.ts'

/** Bytes in a line; a longer payload continues in the next lines. */
const perLine = 16

/** All messages of a datagram, each with its struct nlmsghdr. */
export function annotateDatagram(datagram: Uint8Array): string {
  const out: string[] = []
  let at = 0
  try {
    for (const message of parseDatagram(datagram)) {
      const stop = at + nlmsghdr.size + message.payload.length
      const [name, codec] = familyOf(message.type) ?? [controlName(message.type), raw]
      headerLines(datagram, at, name, out)
      const start = at + nlmsghdr.size
      if (message.type === NLMSG.NLMSG_ERROR || message.type === NLMSG.NLMSG_DONE)
        ackLines(message, datagram, start, stop, out)
      else codecLines(codec, datagram, start, stop, 0, out)
      at += (stop - at + 3) & ~3
      if (at > stop) hexLines(datagram, stop, Math.min(at, datagram.length), 0, 'padding', out)
    }
  } catch (error) {
    hexLines(datagram, at, datagram.length, 0, reason(error), out)
  }
  return `${out.join('\n')}\n`
}

/** The bytes of one value. */
export function annotate(codec: Codec<unknown>, bytes: Uint8Array): string {
  const out: string[] = []
  codecLines(codec, bytes, 0, bytes.length, 0, out)
  return `${out.join('\n')}\n`
}

/** The bytes of annotated text, which begin each line; lines that begin with `#` are comments. */
export function bytesOf(text: string): Uint8Array {
  const octets: number[] = []
  for (const line of text.split('\n')) {
    for (const octet of /^(?:[0-9a-f]{2}(?: |$))+/.exec(line)?.[0].trim().split(' ') ?? [])
      octets.push(Number.parseInt(octet, 16))
  }
  return Uint8Array.from(octets)
}

function headerLines(bytes: Uint8Array, at: number, name: string, out: string[], depth = 0): void {
  const [length, type, flags] = [
    u32.read(bytes, at, at + 4),
    u16.read(bytes, at + 4, at + 6),
    u16.read(bytes, at + 6, at + 8),
  ]
  hexLines(bytes, at, at + 4, depth, `nlmsg_len u32 = ${length}`, out)
  hexLines(bytes, at + 4, at + 6, depth, `nlmsg_type u16 = ${type} ${name}`, out)
  hexLines(
    bytes,
    at + 6,
    at + 8,
    depth,
    `nlmsg_flags u16 = ${flags} ${flagNames(flags, name)}`.trimEnd(),
    out,
  )
  hexLines(bytes, at + 8, at + 12, depth, `nlmsg_seq u32 = ${u32.read(bytes, at + 8, at + 12)}`, out)
  hexLines(bytes, at + 12, at + 16, depth, `nlmsg_pid u32 = ${u32.read(bytes, at + 12, at + 16)}`, out)
}

function controlName(type: number): string {
  return Object.entries(NLMSG).find(([, value]) => value === type)?.[0] ?? `type ${type}`
}

/** The errno; for NLMSG_ERROR the request that it refuses (its header alone if the ACK is capped); then the explanation. */
function ackLines(message: Message, bytes: Uint8Array, at: number, end: number, out: string[]): void {
  let next = Math.min(end, at + 4)
  if (next - at === 4) hexLines(bytes, at, next, 0, `error s32 = ${s32.read(bytes, at, next)}`, out)
  if (message.type === NLMSG.NLMSG_ERROR && end - next >= nlmsghdr.size) {
    const whole = (message.flags & NLM_F.NLM_F_CAPPED) === 0
    const length = whole ? (u32.read(bytes, next, next + 4) + 3) & ~3 : nlmsghdr.size
    const stop = Math.min(end, next + Math.max(length, nlmsghdr.size))
    const [name, codec] = familyOf(u16.read(bytes, next + 4, next + 6)) ?? ['unknown', raw]
    headerLines(bytes, next, name, out, 1)
    if (whole) codecLines(codec, bytes, next + nlmsghdr.size, stop, 1, out)
    next = stop
  }
  codecLines(message.flags & NLM_F.NLM_F_ACK_TLVS ? extack : raw, bytes, next, end, 0, out)
}

/** The bits from 0x100 up have one meaning in RTM_NEW and another in RTM_GET. */
function flagNames(flags: number, name: string): string {
  const upper = name.startsWith('NLMSG')
    ? ['CAPPED', 'ACK_TLVS']
    : /_GET/.test(name)
      ? ['ROOT', 'MATCH']
      : /_NEW|_SET/.test(name)
        ? ['REPLACE', 'EXCL', 'CREATE', 'APPEND']
        : []
  const shown = ['REQUEST', 'MULTI', 'ACK', 'ECHO', 'DUMP_INTR', 'DUMP_FILTERED', ...upper]
  const known = Object.entries(NLM_F).map(([key, bit]) => [key.slice('NLM_F_'.length), bit] as const)
  return known
    .filter(([key, bit]) => shown.includes(key) && (flags & bit) !== 0)
    .map(([key]) => key)
    .join('|')
}

function codecLines(
  codec: Codec<unknown>,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
  out: string[],
): void {
  const before = out.length
  try {
    if (codec instanceof Family) {
      const head = Math.min(end, at + codec.header.size)
      codecLines(codec.header, bytes, at, head, depth, out)
      codecLines(codec.attributes, bytes, head, end, depth, out)
    } else if (isNest(codec)) attributeLines(codec, bytes, at, end, depth, out)
    else if (codec instanceof Struct) structLines(codec, bytes, at, end, depth, out)
    else if (codec instanceof List) {
      for (let next = at; next < end; next += codec.element.size)
        codecLines(codec.element, bytes, next, Math.min(end, next + codec.element.size), depth, out)
    } else if (codec.pieces !== undefined) {
      for (const [piece, from, to] of codec.pieces(bytes, at, end))
        codecLines(piece, bytes, from, to, depth, out)
    } else hexLines(bytes, at, end, depth, valueText(codec, bytes, at, end), out)
  } catch (error) {
    out.length = before
    hexLines(bytes, at, end, depth, reason(error), out)
  }
}

function attributeLines(
  nest: Codec<unknown>,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
  out: string[],
): void {
  for (const part of partsOf(nest, bytes, at, end)) {
    const { name, codec, flags } = part
    const mark =
      flags === 0 ? '' : ` ${flags & 0x8000 ? 'NESTED' : ''}${flags & 0x4000 ? 'NET_BYTEORDER' : ''}`
    const aligned = Math.min(end, part.at + ((part.stop - part.at + 3) & ~3))
    if (
      isNest(codec) ||
      codec instanceof Family ||
      codec instanceof Struct ||
      codec instanceof List ||
      codec.pieces !== undefined
    ) {
      hexLines(bytes, part.at, part.start, depth, `${name}${mark}`, out)
      codecLines(codec, bytes, part.start, part.stop, depth + 1, out)
      if (aligned > part.stop) hexLines(bytes, part.stop, aligned, depth + 1, 'padding', out)
    } else
      hexLines(
        bytes,
        part.at,
        aligned,
        depth,
        `${name}${mark} ${valueText(codec, bytes, part.start, part.stop)}`,
        out,
      )
  }
}

function structLines(
  codec: Struct<readonly Field[]>,
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
  out: string[],
): void {
  let next = at
  if (end - at < codec.size) throw new RangeError(`${codec.kind}: ${end - at} of ${codec.size} bytes`)
  for (const [name, field] of codec.fields as readonly (readonly [
    string,
    Codec<unknown> & { size: number },
  ])[]) {
    const stop = next + field.size
    if (field instanceof Struct) codecLines(field, bytes, next, stop, depth + 1, out)
    else
      hexLines(
        bytes,
        next,
        stop,
        depth,
        name.startsWith('_') ? 'padding' : `${name} ${valueText(field, bytes, next, stop)}`,
        out,
      )
    next = stop
  }
  if (next < end) hexLines(bytes, next, end, depth, `behind ${codec.kind}`, out)
}

function valueText(codec: Codec<unknown>, bytes: Uint8Array, at: number, end: number): string {
  if (codec instanceof ByKind) return codec.kind
  try {
    const value = codec.read(bytes, at, end)
    if (value instanceof Uint8Array) return codec.kind
    return `${codec.kind} = ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`
  } catch (error) {
    return reason(error)
  }
}

function hexLines(
  bytes: Uint8Array,
  at: number,
  end: number,
  depth: number,
  label: string,
  out: string[],
): void {
  for (let next = at; next === at || next < end; next += perLine) {
    const hex = hexOctets(bytes, next, Math.min(end, next + perLine)).replaceAll(':', ' ')
    const text = `${hex.padEnd(3 * perLine)} ${'  '.repeat(depth)}${next === at ? label : '...'}`
    if (hex !== '') out.push(text)
  }
}

function reason(error: unknown): string {
  if (!(error instanceof RangeError)) throw error
  return `malformed: ${error.message}`
}

const raw: Codec<unknown> = rawBytes()
