// Attribute tables: one row says everything about an attribute (the header's name, number, codec). A table converts an object whose
// keys are the headers' names into bytes, and bytes into such an object. An attribute that the table lacks is kept under `#99` (a
// second one of the same number under `#99.2`). Keys are written in the object's own order, so any message of the kernel or of
// iproute2 encodes to the bytes that it came from.
import {
  defaultStyle,
  eachAttribute,
  Nest,
  noteStyle,
  putAttribute,
  type Row,
  remember,
  styles,
  within,
} from './tlv.ts'
import { bytes, type Codec, type Value, type Writer } from './wire.ts'

export type Table = Readonly<Record<string, Row>>
/** The value of a table: every attribute optional, unknown ones raw. */
export type AttrsOf<T extends Table> = { readonly [K in keyof T]?: Value<T[K][1]> } & {
  readonly [K in `#${number}`]: Uint8Array
}

/**
 * Makes the codec of an attribute table. `kind` is the common prefix of the names. A large table is given as a function:
 * a process pays only for the tables that it uses.
 */
export function attrs<const T extends Table>(kind: string, table: T | (() => T)): Attrs<T> {
  return new Attrs(kind, table)
}

/** The codec of an attribute table, see {@link attrs}. */
export class Attrs<T extends Table> extends Nest<AttrsOf<T>> {
  readonly kind: string
  #table: T | (() => T)
  #names: string[] | undefined

  constructor(kind: string, table: T | (() => T)) {
    super()
    this.kind = kind
    this.#table = table
  }

  get table(): T {
    if (typeof this.#table === 'function') this.#table = this.#table()
    return this.#table
  }

  /** The table's name for an attribute number; undefined for a number that the table lacks. */
  nameOf(type: number): string | undefined {
    if (this.#names === undefined) {
      this.#names = []
      for (const name in this.table) this.#names[(this.table[name] as Row)[0]] = name
    }
    return this.#names[type]
  }

  write(out: Writer, value: AttrsOf<T>): void {
    this.writeExcept(out, value, undefined)
  }

  /** Writes every key but those in `others`: the fields of a message's header, which share the object. */
  writeExcept(out: Writer, value: object, others: ReadonlySet<string> | undefined): void {
    const style = styles.get(value)
    const object = value as Readonly<Record<string, unknown>>
    for (const key in object) {
      if (others?.has(key)) continue
      try {
        const [type, codec, noflag] = this.table[key] ?? unknownRow(this.kind, key)
        const chosen = codec instanceof ByKind ? codec.pick(object[codec.key], object[key]) : codec
        putAttribute(out, type, style?.get(key) ?? defaultStyle(codec, noflag), chosen, object[key])
      } catch (error) {
        throw within(key, error, 'encode')
      }
    }
  }

  read(bytes: Uint8Array, at: number, end: number): AttrsOf<T> {
    const value = {}
    this.readInto(value, bytes, at, end)
    return value as AttrsOf<T>
  }

  /** Like read(), into an object that may have other keys already. */
  readInto(value: Record<string, unknown>, bytes: Uint8Array, at: number, end: number): void {
    eachAttribute(this.kind, bytes, at, end, (type, flags, start, stop) => {
      const name = this.nameOf(type)
      if (name === undefined) {
        const key = freeKey(value, type)
        value[key] = bytes.subarray(start, stop)
        if (flags !== 0) remember(value, key, flags)
        return
      }
      if (Object.hasOwn(value, name))
        throw new RangeError(`Cannot decode ${this.kind}: ${name} is there twice`)
      const [, codec] = this.table[name] as Row
      try {
        const chosen =
          codec instanceof ByKind ? codec.pick(this.sibling(codec.key, value, bytes, at, end)) : codec
        value[name] = chosen.read(bytes, start, stop)
        noteStyle(value, name, this.table[name] as Row, flags, bytes, start, stop)
      } catch (error) {
        throw within(name, error, 'decode')
      }
    })
  }

  /** The value of another attribute of the same nest, even of one that comes later in the bytes. */
  sibling(key: string, value: Record<string, unknown>, bytes: Uint8Array, at: number, end: number): unknown {
    if (Object.hasOwn(value, key)) return value[key]
    const [wanted, codec] = this.table[key] as Row
    let found: unknown
    eachAttribute(this.kind, bytes, at, end, (type, _flags, start, stop) => {
      if (type === wanted) found = codec.read(bytes, start, stop)
    })
    return found
  }
}

/**
 * Options with a layout that another attribute of the same nest names: TCA_OPTIONS by TCA_KIND. Without that attribute, or for a
 * kind that `kinds` lacks, the value is raw bytes. Raw bytes may also be given for a known kind.
 */
export function byKind<const K extends Readonly<Record<string, Codec<unknown>>>>(
  key: string,
  kinds: K,
): ByKind<K> {
  return new ByKind(key, kinds)
}

/** The codec of options by kind, see {@link byKind}. */
export class ByKind<K extends Readonly<Record<string, Codec<unknown>>>> extends Nest<
  Value<K[keyof K]> | Uint8Array
> {
  readonly kind = 'options'
  readonly key: string
  readonly kinds: K

  constructor(key: string, kinds: K) {
    super()
    this.key = key
    this.kinds = kinds
  }

  /** The codec for options of `kind`; the raw codec for an unknown kind, or if `value` is raw bytes. */
  pick(kind: unknown, value?: unknown): Codec<unknown> {
    const known = typeof kind === 'string' && Object.hasOwn(this.kinds, kind) ? this.kinds[kind] : undefined
    return known === undefined || value instanceof Uint8Array ? (this as Codec<unknown>) : known
  }

  write(out: Writer, value: Value<K[keyof K]> | Uint8Array): void {
    if (!(value instanceof Uint8Array))
      throw new RangeError(
        `Cannot encode options: need bytes, as ${this.key} is none of ${Object.keys(this.kinds).join(', ')}`,
      )
    out.put(value)
  }

  read(bytes: Uint8Array, at: number, end: number): Uint8Array {
    return bytes.subarray(at, end)
  }
}

function freeKey(value: object, type: number): string {
  if (!Object.hasOwn(value, `#${type}`)) return `#${type}`
  let count = 2
  while (Object.hasOwn(value, `#${type}.${count}`)) count++
  return `#${type}.${count}`
}

const raw: Codec<unknown> = bytes()

function unknownRow(kind: string, key: string): Row {
  const number = /^#(\d+)(?:\.\d+)?$/.exec(key)?.[1]
  if (number === undefined || Number(number) > 0x3fff)
    throw new RangeError(`Cannot encode ${kind}: it has no attribute of that name`)
  return [Number(number), raw, 'noflag']
}
