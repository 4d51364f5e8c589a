// Finds attributes in encoded bytes by a codec, without decoding them. For annotate(), and for naming the attribute that an
// extended ACK points at.

import { Attrs, ByKind, type Table } from './codec/attrs.ts'
import { Indexed, Ordered, Repeated } from './codec/lists.ts'
import { eachAttribute, type Row } from './codec/tlv.ts'
import { type Codec, bytes as rawBytes } from './codec/wire.ts'
import { Family } from './message.ts'

/** One attribute: its header begins at `at`, its payload is [start, stop). */
export interface Part {
  readonly name: string
  readonly codec: Codec<unknown>
  readonly type: number
  /** NLA_F_* bits. */
  readonly flags: number
  readonly at: number
  readonly start: number
  readonly stop: number
}

/** True if payloads of this codec are made of attributes. */
export function isNest(codec: Codec<unknown>): boolean {
  return (
    codec instanceof Attrs ||
    codec instanceof Repeated ||
    codec instanceof Indexed ||
    codec instanceof Ordered
  )
}

/** The attributes in bytes[at, end). Throws RangeError for malformed lengths; unknown attributes are called `#99`. */
export function partsOf(codec: Codec<unknown>, bytes: Uint8Array, at: number, end: number): Part[] {
  const parts: Part[] = []
  eachAttribute(codec.kind, bytes, at, end, (type, flags, start, stop) => {
    const [name, inner] = partCodec(codec, type, bytes, at, end)
    parts.push({ name, codec: inner, type, flags, at: start - 4, start, stop })
  })
  return parts
}

/**
 * The path of the attribute that holds byte `offset` of a payload: `TCA_OPTIONS > TCA_FLOWER_KEY_ETH_TYPE`, the innermost
 * nest last. `missing` is the number of an absent attribute: the path is then that of the nest at `offset` plus that
 * attribute. Undefined if no attribute is there.
 */
export function attributeAt(
  codec: Codec<unknown>,
  payload: Uint8Array,
  offset: number,
  missing?: number,
): string | undefined {
  const path: string[] = []
  let inner: Codec<unknown> = codec instanceof Family ? codec.attributes : codec
  let at = codec instanceof Family ? codec.header.size : 0
  let end = payload.length
  while (isNest(inner)) {
    const part = partsOf(inner, payload, at, end).find(
      (candidate) => candidate.at <= offset && offset < candidate.stop,
    )
    if (part === undefined) break
    path.push(part.name)
    inner = part.codec
    at = part.start
    end = part.stop
  }
  if (missing !== undefined)
    path.push(isNest(inner) ? partCodec(inner, missing, payload, at, end)[0] : `#${missing}`)
  return path.length === 0 ? undefined : path.join(' > ')
}

function partCodec(
  codec: Codec<unknown>,
  type: number,
  bytes: Uint8Array,
  at: number,
  end: number,
): [string, Codec<unknown>] {
  if (codec instanceof Repeated) return type === codec.row[0] ? [codec.kind, codec.row[1]] : [`#${type}`, raw]
  if (codec instanceof Indexed) return [`[${type}]`, codec.element]
  const table: Attrs<Table> = codec instanceof Ordered ? codec.row : (codec as Attrs<Table>)
  const name = table.nameOf(type)
  if (name === undefined) return [`#${type}`, raw]
  const inner = (table.table[name] as Row)[1]
  return [name, inner instanceof ByKind ? inner.pick(table.sibling(inner.key, {}, bytes, at, end)) : inner]
}

const raw: Codec<unknown> = rawBytes()
