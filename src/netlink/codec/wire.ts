// The codecs of single attribute payloads. A codec's name tells the byte order of its numbers (`u16` host, `be16` network); texts
// have the canonical form of lib/. Every netlink file builds on this one; it may import src/lib only. Decoding is strict: a
// payload of another length is a RangeError, never a default.
import { ipFromBytes, ipToBytes } from '../../lib/ip.ts'
import { hexDigit, hexOctets } from '../../lib/mac.ts'
import { decodeText, encodeText } from './text.ts'

// Numbers in host order are written as little-endian, the order of Linux on these two processors.
if (process.arch !== 'x64' && process.arch !== 'arm64') {
  throw new Error(`Cannot speak netlink on ${process.arch}: need x64 or arm64`)
}

/** The bytes of a value of type T. Reading throws RangeError for bytes that are no T, writing throws it for a T out of range. */
export interface Codec<T> {
  /** The name in errors and in annotate(): `be16`, `TCA_FLOWER`, `ifla_vf_mac`. */
  readonly kind: string
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
  /** Appends the value to `out`. */
  write(out: Writer, value: T): void
  /** Reads the value in bytes[at, end). */
  read(bytes: Uint8Array, at: number, end: number): T
  /** For a codec that is put together from others: the parts in bytes[at, end). */
  pieces?(bytes: Uint8Array, at: number, end: number): readonly Piece[]
}

/** A part of bytes with its codec. */
export type Piece = readonly [codec: Codec<unknown>, at: number, end: number]

/** A codec whose values all have `size` bytes, as a struct's field needs. */
export interface FixedCodec<T> extends Codec<T> {
  readonly size: number
}

/** The type of a codec's values. */
export type Value<C> = C extends { decode(bytes: Uint8Array): infer T } ? T : never

/** A zero-filled buffer that grows. */
export class Writer {
  bytes = new Uint8Array(512)
  at = 0

  /** Appends `count` zero bytes and returns where they start. */
  skip(count: number): number {
    const start = this.at
    this.at += count
    if (this.at > this.bytes.length) {
      const bigger = new Uint8Array(Math.max(this.at, 2 * this.bytes.length))
      bigger.set(this.bytes)
      this.bytes = bigger
    }
    return start
  }

  /** Appends bytes. */
  put(bytes: Uint8Array): void {
    // skip() first, because it may replace the buffer.
    const at = this.skip(bytes.length)
    this.bytes.set(bytes, at)
  }

  /** Stores a host-order 16-bit number at `at`. */
  u16(at: number, value: number): void {
    this.bytes[at] = value
    this.bytes[at + 1] = value >> 8
  }

  /** A copy of the bytes written so far. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.at)
  }
}

/** Implements `encode` and `decode` by `write` and `read`. */
export abstract class Base<T> implements Codec<T> {
  abstract readonly kind: string
  abstract write(out: Writer, value: T): void
  abstract read(bytes: Uint8Array, at: number, end: number): T

  encode(value: T): Uint8Array {
    const out = new Writer()
    this.write(out, value)
    return out.take()
  }

  decode(bytes: Uint8Array): T {
    return this.read(bytes, 0, bytes.length)
  }
}

/**
 * A codec from its two functions. An object and not a class: a process that lives for milliseconds pays for every
 * constructor that it calls for the first time.
 */
function codec<T>(
  kind: string,
  size: number,
  write: (out: Writer, value: T) => void,
  read: (bytes: Uint8Array, at: number, end: number) => T,
): FixedCodec<T> {
  return { kind, size, write, read, encode, decode }
}

function encode<T>(this: Codec<T>, value: T): Uint8Array {
  const out = new Writer()
  this.write(out, value)
  return out.take()
}

function decode<T>(this: Codec<T>, bytes: Uint8Array): T {
  return this.read(bytes, 0, bytes.length)
}

function integer(kind: string, size: number, big: boolean, signed: boolean): FixedCodec<number> {
  const span = 2 ** (8 * size)
  const low = signed ? -span / 2 : 0
  const unused = 32 - 8 * size
  const write = (out: Writer, value: number) => {
    if (!Number.isInteger(value) || value < low || value >= low + span) {
      throw new RangeError(
        `Cannot encode ${kind}: need an integer ${low} to ${low + span - 1}, got ${String(value)}`,
      )
    }
    const at = out.skip(size)
    for (let i = 0; i < size; i++) out.bytes[big ? at + size - 1 - i : at + i] = value >> (8 * i)
  }
  const read = (bytes: Uint8Array, at: number, end: number) => {
    need(kind, size, end - at)
    let value = 0
    for (let i = 0; i < size; i++) value |= (bytes[big ? end - 1 - i : at + i] as number) << (8 * i)
    return signed ? (value << unused) >> unused : value >>> 0
  }
  return codec(kind, size, write, read)
}

function integer64(kind: string, big: boolean): FixedCodec<bigint> {
  const write = (out: Writer, value: bigint) => {
    if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) {
      throw new RangeError(`Cannot encode ${kind}: need a bigint 0 to 2^64-1, got ${String(value)}`)
    }
    const at = out.skip(8)
    for (let i = 0; i < 8; i++)
      out.bytes[big ? at + 7 - i : at + i] = Number((value >> BigInt(8 * i)) & 0xffn)
  }
  const read = (bytes: Uint8Array, at: number, end: number) => {
    need(kind, 8, end - at)
    const half = big ? be32 : u32
    const first = BigInt(half.read(bytes, at, at + 4))
    const second = BigInt(half.read(bytes, at + 4, end))
    return big ? (first << 32n) | second : (second << 32n) | first
  }
  return codec(kind, 8, write, read)
}

/** Octets in hexadecimal with colons: `size` octets (6 for Ethernet), or any number with `size` -1. */
function octets(kind: string, size: number): FixedCodec<string> {
  const write = (out: Writer, value: string) => {
    const count = Math.floor((value.length + 1) / 3)
    let good = value === '' || value.length === 3 * count - 1
    let at = out.skip(count)
    for (let i = 0; i < value.length; i += 3) {
      const high = hexDigit(value.charCodeAt(i))
      const low = hexDigit(value.charCodeAt(i + 1))
      if (high < 0 || low < 0 || (i > 0 && value.charAt(i - 1) !== ':')) good = false
      out.bytes[at++] = high * 16 + low
    }
    if (!good || (size >= 0 && count !== size)) {
      throw new RangeError(`Cannot encode ${kind}: "${value}" is no hardware address of its length`)
    }
  }
  const read = (bytes: Uint8Array, at: number, end: number) => {
    if (size >= 0) need(kind, size, end - at)
    return hexOctets(bytes, at, end)
  }
  return codec(kind, size, write, read)
}

/** An IP address of one family (size 4 or 16), or with size -1 of the family that the payload's length tells. */
function address(kind: string, size: number): FixedCodec<string> {
  const write = (out: Writer, value: string) => {
    const bytes = ipToBytes(value)
    if (size >= 0 && bytes.length !== size) {
      throw new RangeError(`Cannot encode ${kind}: "${value}" is of the other family`)
    }
    out.put(bytes)
  }
  const read = (bytes: Uint8Array, at: number, end: number) => {
    if (size >= 0) need(kind, size, end - at)
    return ipFromBytes(bytes, at, end - at)
  }
  return codec<string>(kind, size, write, read)
}

/** Integers by bits, sign and byte order: `u` and `s` in host order, `be` in network order. 64 bits are a bigint. */
export const u8: FixedCodec<number> = integer('u8', 1, false, false)
export const u16: FixedCodec<number> = integer('u16', 2, false, false)
export const u32: FixedCodec<number> = integer('u32', 4, false, false)
export const s16: FixedCodec<number> = integer('s16', 2, false, true)
export const s32: FixedCodec<number> = integer('s32', 4, false, true)
export const be16: FixedCodec<number> = integer('be16', 2, true, false)
export const be32: FixedCodec<number> = integer('be32', 4, true, false)
export const u64: FixedCodec<bigint> = integer64('u64', false)
export const be64: FixedCodec<bigint> = integer64('be64', true)
/** True by its presence: no payload. */
export const flag: Codec<true> = codec<true>(
  'flag',
  0,
  () => {},
  (_bytes, at, end) => {
    need('flag', 0, end - at)
    return true
  },
)
/** An Ethernet address: six lower-case octets with colons. */
export const mac: FixedCodec<string> = octets('mac', 6)
/** A hardware address of the length that its link type has: 6 Ethernet, 4 ipip, 20 InfiniBand, 0 none. */
export const lladdr: Codec<string> = octets('lladdr', -1)
/** An address of one family: 4 or 16 bytes. */
export const ipv4: FixedCodec<string> = address('ipv4', 4)
export const ipv6: FixedCodec<string> = address('ipv6', 16)
/** An address whose length tells its family, as in rtnetlink. */
export const ip: Codec<string> = address('ip', -1)

/**
 * A string of less than `max` bytes. The kernel ends most strings with a zero byte, but not all (IFLA_PHYS_PORT_NAME). Written with
 * the zero byte, read with and without.
 */
export function cstr(max: number): Codec<string> {
  const write = (out: Writer, value: string) => {
    const bytes = encodeText(value)
    if (bytes.includes(0)) throw new RangeError('Cannot encode string: it contains a zero byte')
    if (bytes.length >= max) {
      throw new RangeError(
        `Cannot encode string "${value}": need at most ${max - 1} bytes, got ${bytes.length}`,
      )
    }
    out.put(bytes)
    out.skip(1)
  }
  const read = (bytes: Uint8Array, at: number, end: number) => {
    let stop = at
    while (stop < end && bytes[stop] !== 0) stop++
    if (stop < end - 1) throw new RangeError('Cannot decode string: bytes follow its zero byte')
    if (stop - at >= max) {
      throw new RangeError(`Cannot decode string: need at most ${max - 1} bytes, got ${stop - at}`)
    }
    return decodeText(bytes, at, stop)
  }
  return codec(stringKind, -1, write, read)
}

/** The kind of strings, the only payload that has two forms: with and without its ending zero. */
export const stringKind = 'string'

/** Bytes of exactly `size`; without it, of any number. A decoded value is a view into the message. */
export function bytes(size = -1): FixedCodec<Uint8Array> {
  const kind = size < 0 ? 'bytes' : `bytes[${size}]`
  const write = (out: Writer, value: Uint8Array) => {
    if (!(value instanceof Uint8Array)) throw new RangeError(`Cannot encode ${kind}: need a Uint8Array`)
    if (size >= 0 && value.length !== size)
      throw new RangeError(`Cannot encode ${kind}: got ${value.length} bytes`)
    out.put(value)
  }
  const read = (from: Uint8Array, at: number, end: number) => {
    if (size >= 0) need(kind, size, end - at)
    return from.subarray(at, end)
  }
  return codec(kind, size, write, read)
}

/** Throws the RangeError for a payload of the wrong length. */
export function need(kind: string, size: number, got: number): void {
  if (got !== size) throw new RangeError(`Cannot decode ${kind}: need ${size} bytes, got ${got}`)
}
