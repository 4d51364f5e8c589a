// C structs: fields in order, every hole written out. A field whose name begins with `_` is padding (`_`, or `_1`, `_2` where there
// are several): it is written as zeros and absent from the value. Also arrays of structs or scalars.
import { Base, type Codec, type FixedCodec, type Value, type Writer } from './wire.ts'

export type Field = readonly [name: string, codec: FixedCodec<unknown>]
/** The value of a struct. `#tail` holds the fields that a newer kernel has added at the end. */
export type StructOf<F extends readonly Field[]> = {
  readonly [E in F[number] as E[0] extends `_${string}` ? never : E[0]]: Value<E[1]>
} & { readonly '#tail'?: Uint8Array }

/** Makes the codec of `struct name`. Decoding needs at least the struct's size; encoding needs every field. */
export function struct<const F extends readonly Field[]>(name: string, fields: F): Struct<F> {
  return new Struct(name, fields)
}

/** See {@link struct}. */
export class Struct<F extends readonly Field[]> extends Base<StructOf<F>> implements FixedCodec<StructOf<F>> {
  readonly kind: string
  readonly fields: F
  readonly size: number

  constructor(name: string, fields: F) {
    super()
    this.kind = name
    this.fields = fields
    let size = 0
    for (const field of fields) size += field[1].size
    this.size = size
  }

  write(out: Writer, value: StructOf<F>): void {
    this.writeFields(out, value, false)
    if (value['#tail'] !== undefined) out.put(value['#tail'])
  }

  /** Writes the fields alone. With `zeros` an absent field is 0, as in the header of a message. */
  writeFields(out: Writer, value: object, zeros: boolean): void {
    const object = value as Readonly<Record<string, unknown>>
    for (const [name, codec] of this.fields) {
      const field = object[name]
      if (name.startsWith('_') || (zeros && field === undefined)) out.skip(codec.size)
      else if (field === undefined) throw new RangeError(`Cannot encode ${this.kind}: ${name} is missing`)
      else {
        try {
          codec.write(out, field)
        } catch (error) {
          throw error instanceof RangeError
            ? new RangeError(`Cannot encode ${this.kind}.${name}: ${error.message}`)
            : error
        }
      }
    }
  }

  read(bytes: Uint8Array, at: number, end: number): StructOf<F> {
    const value: Record<string, unknown> = {}
    this.readInto(value, bytes, at, end)
    if (end - at > this.size) value['#tail'] = bytes.subarray(at + this.size, end)
    return value as StructOf<F>
  }

  /** Reads the fields alone, into an object that may get other keys. */
  readInto(value: Record<string, unknown>, bytes: Uint8Array, at: number, end: number): void {
    if (end - at < this.size)
      throw new RangeError(`Cannot decode ${this.kind}: need ${this.size} bytes, got ${end - at}`)
    let next = at
    for (const [name, codec] of this.fields) {
      if (!name.startsWith('_')) value[name] = codec.read(bytes, next, next + codec.size)
      next += codec.size
    }
  }

  /** Byte offset of a field. */
  offsetOf(name: string): number | undefined {
    let offset = 0
    for (const [field, codec] of this.fields) {
      if (field === name) return offset
      offset += codec.size
    }
    return undefined
  }
}

/** An array that fills the payload: elements of one size, one after the other. */
export function array<T>(element: FixedCodec<T>): Codec<readonly T[]> {
  return new List(element)
}

/** See {@link array}. */
export class List<T> extends Base<readonly T[]> {
  readonly kind: string
  readonly element: FixedCodec<T>

  constructor(element: FixedCodec<T>) {
    super()
    this.kind = `${element.kind}[]`
    this.element = element
  }

  write(out: Writer, value: readonly T[]): void {
    for (const element of value) this.element.write(out, element)
  }

  read(bytes: Uint8Array, at: number, end: number): readonly T[] {
    const size = this.element.size
    if ((end - at) % size !== 0)
      throw new RangeError(`Cannot decode ${this.kind}: ${end - at} bytes are no multiple of ${size}`)
    const value: T[] = []
    for (let next = at; next < end; next += size) value.push(this.element.read(bytes, next, next + size))
    return value
  }
}
