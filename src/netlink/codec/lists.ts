// Lists of attributes: all of one number (Repeated), numbers that count (Indexed), numbers whose order has a meaning (Ordered).
import { Attrs, type Table } from './attrs.ts'
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
import type { Codec, Value, Writer } from './wire.ts'

/** A nest of attributes that all have one number: IFLA_VFINFO_LIST. The value is the list of their payloads. */
export function repeated<T>(name: string, row: Row<T>): Repeated<T> {
  return new Repeated(name, row)
}

/** See {@link repeated}. */
export class Repeated<T> extends Nest<readonly T[]> {
  readonly kind: string
  readonly row: Row<T>

  constructor(kind: string, row: Row<T>) {
    super()
    this.kind = kind
    this.row = row
  }

  write(out: Writer, value: readonly T[]): void {
    const style = styles.get(value)
    const [type, codec, noflag] = this.row
    value.forEach((element, i) => {
      try {
        putAttribute(out, type, style?.get(i) ?? defaultStyle(codec, noflag), codec, element)
      } catch (error) {
        throw within(`${this.kind}[${i}]`, error, 'encode')
      }
    })
  }

  read(bytes: Uint8Array, at: number, end: number): readonly T[] {
    const value: T[] = []
    const [wanted, codec] = this.row
    eachAttribute(this.kind, bytes, at, end, (type, flags, start, stop) => {
      if (type !== wanted)
        throw new RangeError(`Cannot decode ${this.kind}: attribute ${type} in a list of ${wanted}`)
      try {
        value.push(codec.read(bytes, start, stop))
      } catch (error) {
        throw within(`${this.kind}[${value.length}]`, error, 'decode')
      }
      noteStyle(value, value.length - 1, this.row, flags, bytes, start, stop)
    })
    return value
  }
}

/** A nest whose attribute numbers count the elements (actions 1, 2, ...): a list of [number, value] in the order of the bytes. */
export function indexed<T>(kind: string, codec: Codec<T>, noflag?: 'noflag'): Indexed<T> {
  return new Indexed(kind, codec, noflag)
}

/** See {@link indexed}. */
export class Indexed<T> extends Nest<ReadonlyArray<readonly [index: number, value: T]>> {
  readonly kind: string
  readonly element: Codec<T>
  readonly noflag: 'noflag' | undefined

  constructor(kind: string, element: Codec<T>, noflag: 'noflag' | undefined) {
    super()
    this.kind = kind
    this.element = element
    this.noflag = noflag
  }

  write(out: Writer, value: ReadonlyArray<readonly [number, T]>): void {
    const style = styles.get(value)
    value.forEach(([index, element], i) => {
      if (!Number.isInteger(index) || index < 0 || index > 0x3fff)
        throw new RangeError(`Cannot encode ${this.kind}: index ${index} is no attribute number`)
      try {
        putAttribute(
          out,
          index,
          style?.get(i) ?? defaultStyle(this.element, this.noflag),
          this.element,
          element,
        )
      } catch (error) {
        throw within(`${this.kind}[${index}]`, error, 'encode')
      }
    })
  }

  read(bytes: Uint8Array, at: number, end: number): ReadonlyArray<readonly [number, T]> {
    const value: [number, T][] = []
    eachAttribute(this.kind, bytes, at, end, (type, flags, start, stop) => {
      try {
        value.push([type, this.element.read(bytes, start, stop)])
      } catch (error) {
        throw within(`${this.kind}[${type}]`, error, 'decode')
      }
      if (flags !== defaultStyle(this.element, this.noflag)) remember(value, value.length - 1, flags)
    })
    return value
  }
}

/** One attribute of an ordered nest; `#99` for a number that the table lacks. */
export type EntryOf<T extends Table> =
  | { [K in keyof T]: readonly [name: K, value: Value<T[K][1]>] }[keyof T]
  | readonly [name: `#${number}`, value: Uint8Array]

/** A nest whose numbers repeat and whose order has a meaning (counters): a list of [name, value] in the order of the bytes. */
export function ordered<const T extends Table>(kind: string, table: T | (() => T)): Ordered<T> {
  return new Ordered(kind, table)
}

/** See {@link ordered}. */
export class Ordered<T extends Table> extends Nest<ReadonlyArray<EntryOf<T>>> {
  readonly kind: string
  /** The same table, for single attributes. */
  readonly row: Attrs<T>

  constructor(kind: string, table: T | (() => T)) {
    super()
    this.kind = kind
    this.row = new Attrs(kind, table)
  }

  write(out: Writer, value: ReadonlyArray<EntryOf<T>>): void {
    const style = styles.get(value)
    value.forEach(([name, element], i) => {
      const one = { [name]: element }
      const known = style?.get(i)
      if (known !== undefined) remember(one, name as string, known)
      this.row.writeExcept(out, one, undefined)
    })
  }

  read(bytes: Uint8Array, at: number, end: number): ReadonlyArray<EntryOf<T>> {
    const value: EntryOf<T>[] = []
    eachAttribute(this.kind, bytes, at, end, (_type, _flags, start, stop) => {
      const one = this.row.read(bytes, start - 4, stop)
      for (const name in one) {
        const style = styles.get(one)?.get(name)
        if (style !== undefined) remember(value, value.length, style)
        value.push([name, one[name]] as unknown as EntryOf<T>)
      }
    })
    return value
  }
}
