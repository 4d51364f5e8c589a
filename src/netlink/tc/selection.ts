// A struct that ends with a flexible array of keys and counts them in `nkeys`: struct tc_u32_sel of linux/pkt_cls.h, struct
// tc_pedit_sel of linux/tc_act/tc_pedit.h.
import { array, type Field, type Struct, type StructOf } from '../codec/struct.ts'
import { Base, type Codec, type Piece, type Writer } from '../codec/wire.ts'

/** The value of a struct `H` with keys `K`; the codec handles nkeys. */
export type SelectionOf<H extends readonly Field[], K extends readonly Field[]> = Omit<
  StructOf<H>,
  'nkeys' | '#tail'
> & { readonly keys: readonly StructOf<K>[] }

/** Makes the codec of `head` with its keys. Decoding throws RangeError for another number of keys than `nkeys`. */
export function selection<H extends readonly Field[], K extends readonly Field[]>(
  head: Struct<H>,
  key: Struct<K>,
): Codec<SelectionOf<H, K>> {
  return new SelectionCodec(head, key)
}

class SelectionCodec<H extends readonly Field[], K extends readonly Field[]> extends Base<SelectionOf<H, K>> {
  readonly kind: string
  readonly head: Struct<H>
  readonly key: Struct<K>

  constructor(head: Struct<H>, key: Struct<K>) {
    super()
    this.kind = head.kind
    this.head = head
    this.key = key
  }

  write(out: Writer, value: SelectionOf<H, K>): void {
    this.head.writeFields(out, { ...value, nkeys: value.keys.length }, false)
    for (const key of value.keys) this.key.write(out, key)
  }

  read(from: Uint8Array, at: number, end: number): SelectionOf<H, K> {
    const first = at + this.head.size
    const { nkeys, ...fields } = this.head.read(from, at, Math.min(end, first)) as { readonly nkeys: number }
    if (end - first !== nkeys * this.key.size)
      throw new RangeError(`Cannot decode ${this.kind}: ${nkeys} keys in ${end - first} bytes`)
    return { ...fields, keys: array(this.key).read(from, first, end) } as SelectionOf<H, K>
  }

  pieces(_from: Uint8Array, at: number, end: number): readonly Piece[] {
    const first = Math.min(end, at + this.head.size)
    return [
      [this.head, at, first],
      [array(this.key), first, end],
    ]
  }
}
