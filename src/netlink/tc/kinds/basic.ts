// The filter that matches by an expression, or every packet without one: TCA_BASIC_* of linux/pkt_cls.h.
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, u16, u32 } from '../../codec/wire.ts'
import { actions } from '../actions/action.ts'

/** struct tcf_ematch_tree_hdr, linux/pkt_cls.h. An expression without matches is true for every packet. */
export const tcf_ematch_tree_hdr = struct('tcf_ematch_tree_hdr', [
  ['nmatches', u16],
  ['progid', u16],
])

/** TCA_EMATCH_TREE_* of linux/pkt_cls.h. For a filter without an expression, the kernel shows one without matches. */
export const ematches = attrs('TCA_EMATCH_TREE', () => ({
  TCA_EMATCH_TREE_HDR: [1, tcf_ematch_tree_hdr],
  TCA_EMATCH_TREE_LIST: [2, bytes()],
}))

/** TCA_BASIC_* of linux/pkt_cls.h; basic_policy, net/sched/cls_basic.c. The kind has no flags, so no NIC takes it. */
export const basic = attrs('TCA_BASIC', () => ({
  TCA_BASIC_CLASSID: [1, u32],
  TCA_BASIC_EMATCHES: [2, ematches, 'noflag'],
  TCA_BASIC_ACT: [3, actions, 'noflag'],
  TCA_BASIC_POLICE: [4, bytes()],
  TCA_BASIC_PCNT: [5, bytes()],
  TCA_BASIC_PAD: [6, bytes()],
}))
export type Basic = AttrsOf<(typeof basic)['table']>
