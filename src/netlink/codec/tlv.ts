// The bytes of an attribute: 16-bit length and number, payload, padding to four bytes. The common part of codec/attrs.ts and
// codec/lists.ts.
import { Base, type Codec, stringKind, type Writer } from './wire.ts'

/** linux/netlink.h: the upper two bits of nla_type. */
export const NLA_F_NESTED = 0x8000
export const NLA_F_NET_BYTEORDER = 0x4000
const flagBits = NLA_F_NESTED | NLA_F_NET_BYTEORDER
/** Bit of a style (see styles): the string has no ending zero. */
const bare = 1

/**
 * Number, codec, and the word `noflag` for nests that the kernel and iproute2 write without NLA_F_NESTED
 * (`nla_nest_start_noflag`). Decoding takes both forms, and remembers the form for encoding the same object again.
 */
export type Row<T = unknown> = readonly [type: number, codec: Codec<T>, style?: 'noflag']

/** Deviations from the row's way of writing, by decoded object and key: flag bits and `bare`. */
export const styles = new WeakMap<object, Map<string | number, number>>()

/** A codec whose payload is made of attributes: rows with it get NLA_F_NESTED. */
export abstract class Nest<T> extends Base<T> {}

/**
 * Calls `visit` for each attribute in bytes[at, end): number, flag bits, payload [start, stop). Throws RangeError for a
 * length that is shorter than an attribute's header or reaches beyond the end.
 */
export function eachAttribute(
  kind: string,
  bytes: Uint8Array,
  at: number,
  end: number,
  visit: (type: number, flags: number, start: number, stop: number) => void,
): void {
  let next = at
  while (next < end) {
    if (end - next < 4) throw new RangeError(`Cannot decode ${kind}: ${end - next} bytes left over`)
    const length = (bytes[next] as number) | ((bytes[next + 1] as number) << 8)
    const type = (bytes[next + 2] as number) | ((bytes[next + 3] as number) << 8)
    if (length < 4 || length > end - next) {
      throw new RangeError(
        `Cannot decode ${kind}: attribute ${type & ~flagBits} says ${length} bytes, ${end - next} are there`,
      )
    }
    visit(type & ~flagBits, type & flagBits, next + 4, next + length)
    next += (length + 3) & ~3
  }
}

/** Appends an attribute. */
export function putAttribute(
  out: Writer,
  type: number,
  style: number,
  codec: Codec<unknown>,
  value: unknown,
): void {
  if (value === undefined) throw new RangeError(`Cannot encode ${codec.kind}: the value is undefined`)
  const start = out.skip(4)
  codec.write(out, value)
  if (style & bare) out.at--
  const length = out.at - start
  if (length > 0xffff)
    throw new RangeError(`Cannot encode ${codec.kind}: ${length} bytes do not fit into an attribute`)
  out.u16(start, length)
  out.u16(start + 2, type | (style & flagBits))
  out.skip(-length & 3)
}

/** The style that a row asks for. */
export function defaultStyle(codec: Codec<unknown>, noflag: 'noflag' | undefined): number {
  return codec instanceof Nest && noflag === undefined ? NLA_F_NESTED : 0
}

/** Remembers the style of an attribute with payload bytes[start, stop), if it isn't the row's. */
export function noteStyle(
  value: object,
  key: string | number,
  row: Row,
  flags: number,
  bytes: Uint8Array,
  start: number,
  stop: number,
): void {
  const [, codec, noflag] = row
  const style = flags | (codec.kind === stringKind && (stop === start || bytes[stop - 1] !== 0) ? bare : 0)
  if (style !== defaultStyle(codec, noflag)) remember(value, key, style)
}

/** Remembers a style. */
export function remember(value: object, key: string | number, style: number): void {
  const known = styles.get(value)
  if (known === undefined) styles.set(value, new Map([[key, style]]))
  else known.set(key, style)
}

/** Makes the string under `key` encode without its ending zero. */
export function rememberBare(value: object, key: string): void {
  remember(value, key, bare)
}

/** Adds the attribute's name to an error from inside of the attribute. */
export function within(name: string, error: unknown, verb: 'encode' | 'decode'): unknown {
  if (!(error instanceof RangeError)) return error
  const inner = error.message.startsWith(`Cannot ${verb} `) ? error.message.slice(14) : `: ${error.message}`
  return new RangeError(`Cannot ${verb} ${name}${inner.startsWith(':') ? '' : ' > '}${inner}`)
}
