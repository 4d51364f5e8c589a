// The filter that matches words of a packet: TCA_U32_* and struct tc_u32_sel of linux/pkt_cls.h.
import { type AttrsOf, attrs } from '../attrs.ts'
import { array, type StructOf, struct } from '../struct.ts'
import {
  Base,
  be16,
  be32,
  bytes,
  cstr,
  type Piece,
  s16,
  s32,
  u8,
  u16,
  type Writer,
  u32 as word,
} from '../wire.ts'
import { actions } from './action.ts'

/** TC_U32_* of linux/pkt_cls.h, for `flags` of a selection. Only a TERMINAL one ends with what its actions say. */
export const TC_U32 = { TC_U32_TERMINAL: 1 } as const

/** struct tc_u32_key, linux/pkt_cls.h: `(word & mask) == val`, `off` bytes behind the network header. */
export const tc_u32_key = struct('tc_u32_key', [
  ['mask', be32],
  ['val', be32],
  ['off', s32],
  ['offmask', s32],
])

/** struct tc_u32_sel without its keys; nkeys is the codec's matter. */
export const tc_u32_sel = struct('tc_u32_sel', [
  ['flags', u8],
  ['offshift', u8],
  ['nkeys', u8],
  ['_pad', bytes(1)],
  ['offmask', be16],
  ['off', u16],
  ['offoff', s16],
  ['hoff', s16],
  ['hmask', be32],
])

type Key = StructOf<(typeof tc_u32_key)['fields']>
/** struct tc_u32_sel with its keys, all of which must hold. */
export type U32Selection = Omit<StructOf<(typeof tc_u32_sel)['fields']>, 'nkeys' | '#tail'> & {
  readonly keys: readonly Key[]
}

/** struct tc_u32_sel with its flexible array. */
class SelectionCodec extends Base<U32Selection> {
  readonly kind = 'tc_u32_sel'

  write(out: Writer, value: U32Selection): void {
    tc_u32_sel.writeFields(out, { ...value, nkeys: value.keys.length }, false)
    for (const key of value.keys) tc_u32_key.write(out, key)
  }

  read(from: Uint8Array, at: number, end: number): U32Selection {
    const { nkeys, flags, offshift, offmask, off, offoff, hoff, hmask } = tc_u32_sel.read(
      from,
      at,
      Math.min(end, at + tc_u32_sel.size),
    )
    const begin = at + tc_u32_sel.size
    if (end - begin !== nkeys * tc_u32_key.size)
      throw new RangeError(`Cannot decode ${this.kind}: ${nkeys} keys in ${end - begin} bytes`)
    const keys = Array.from({ length: nkeys }, (_, index) => {
      const start = begin + index * tc_u32_key.size
      return tc_u32_key.read(from, start, start + tc_u32_key.size)
    })
    return { flags, offshift, offmask, off, offoff, hoff, hmask, keys }
  }

  pieces(_from: Uint8Array, at: number, end: number): readonly Piece[] {
    const first = Math.min(end, at + tc_u32_sel.size)
    return [
      [tc_u32_sel, at, first],
      [array(tc_u32_key), first, end],
    ]
  }
}

/** TCA_U32_* of linux/pkt_cls.h; u32_policy, net/sched/cls_u32.c. FLAGS as TCA_CLS_FLAGS. A hash table has a DIVISOR and no SEL. */
export const u32Filter = attrs('TCA_U32', () => ({
  TCA_U32_CLASSID: [1, word],
  TCA_U32_HASH: [2, word],
  TCA_U32_LINK: [3, word],
  TCA_U32_DIVISOR: [4, word],
  TCA_U32_SEL: [5, new SelectionCodec()],
  TCA_U32_POLICE: [6, bytes()],
  TCA_U32_ACT: [7, actions, 'noflag'],
  TCA_U32_INDEV: [8, cstr(16)],
  TCA_U32_PCNT: [9, bytes()],
  TCA_U32_MARK: [10, bytes()],
  TCA_U32_FLAGS: [11, word],
  TCA_U32_PAD: [12, bytes()],
}))
export type U32Filter = AttrsOf<(typeof u32Filter)['table']>

/** The selection of every packet, as `tc` makes it of `match u32 0 0`. */
export const everyPacket: U32Selection = {
  ...{ flags: TC_U32.TC_U32_TERMINAL, offshift: 0, offmask: 0, off: 0, offoff: 0, hoff: 0, hmask: 0 },
  keys: [{ mask: 0, val: 0, off: 0, offmask: 0 }],
}
