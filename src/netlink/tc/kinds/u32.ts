// The filter that matches words of a packet: TCA_U32_* and struct tc_u32_sel of linux/pkt_cls.h.
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { be16, be32, bytes, cstr, s16, s32, u8, u16, type Value, u32 as word } from '../../codec/wire.ts'
import { actions } from '../actions/action.ts'
import { selection } from '../selection.ts'

/** TC_U32_* of linux/pkt_cls.h, for `flags` of a selection. Only a TERMINAL selection ends with the verdict of its actions. */
export const TC_U32 = { TC_U32_TERMINAL: 1 } as const

/** struct tc_u32_key, linux/pkt_cls.h: `(word & mask) == val`, `off` bytes behind the network header. */
export const tc_u32_key = struct('tc_u32_key', [
  ['mask', be32],
  ['val', be32],
  ['off', s32],
  ['offmask', s32],
])

/** struct tc_u32_sel without its keys; the codec handles nkeys. */
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

const u32Selection = selection(tc_u32_sel, tc_u32_key)
/** struct tc_u32_sel with its keys; a packet matches if every key does. */
export type U32Selection = Value<typeof u32Selection>

/** TCA_U32_* of linux/pkt_cls.h; u32_policy, net/sched/cls_u32.c. FLAGS as TCA_CLS_FLAGS. A hash table has a DIVISOR and no SEL. */
export const u32Filter = attrs('TCA_U32', () => ({
  TCA_U32_CLASSID: [1, word],
  TCA_U32_HASH: [2, word],
  TCA_U32_LINK: [3, word],
  TCA_U32_DIVISOR: [4, word],
  TCA_U32_SEL: [5, u32Selection],
  TCA_U32_POLICE: [6, bytes()],
  TCA_U32_ACT: [7, actions, 'noflag'],
  TCA_U32_INDEV: [8, cstr(16)],
  TCA_U32_PCNT: [9, bytes()],
  TCA_U32_MARK: [10, bytes()],
  TCA_U32_FLAGS: [11, word],
  TCA_U32_PAD: [12, bytes()],
}))
export type U32Filter = AttrsOf<(typeof u32Filter)['table']>

/** The selection that matches every packet, as `tc` makes it for `match u32 0 0`. */
export const everyPacket: U32Selection = {
  ...{ flags: TC_U32.TC_U32_TERMINAL, offshift: 0, offmask: 0, off: 0, offoff: 0, hoff: 0, hmask: 0 },
  keys: [{ mask: 0, val: 0, off: 0, offmask: 0 }],
}
