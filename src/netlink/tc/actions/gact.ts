// The generic action: accept, drop, go to a chain. linux/tc_act/tc_gact.h
import { attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, s32, u16, u32, u64 } from '../../codec/wire.ts'

/** TC_ACT_* of linux/pkt_cls.h: the verdicts of an action. A chain or a jump count is or-ed to the last two. */
export const TC_ACT = {
  TC_ACT_UNSPEC: -1,
  TC_ACT_OK: 0,
  TC_ACT_RECLASSIFY: 1,
  TC_ACT_SHOT: 2,
  TC_ACT_PIPE: 3,
  TC_ACT_STOLEN: 4,
  TC_ACT_QUEUED: 5,
  TC_ACT_REPEAT: 6,
  TC_ACT_REDIRECT: 7,
  TC_ACT_TRAP: 8,
  TC_ACT_JUMP: 0x10000000,
  TC_ACT_GOTO_CHAIN: 0x20000000,
} as const

/** The macro tc_gen of linux/pkt_cls.h: the first parameters of most actions. The kernel sets the counts; `action` is TC_ACT. */
export const tc_gen = [
  ['index', u32],
  ['capab', u32],
  ['action', s32],
  ['refcnt', s32],
  ['bindcnt', s32],
] as const

/** struct tcf_t, linux/pkt_cls.h. Ages in clock ticks (1/100 s). */
export const tcf_t = struct('tcf_t', [
  ['install', u64],
  ['lastuse', u64],
  ['expires', u64],
  ['firstuse', u64],
])

/** struct tc_gact, linux/tc_act/tc_gact.h */
export const tc_gact = struct('tc_gact', tc_gen)

/** struct tc_gact_p, linux/tc_act/tc_gact.h. Every pval-th packet (ptype 1: at random, 2: counted) takes paction instead. */
export const tc_gact_p = struct('tc_gact_p', [
  ['ptype', u16],
  ['pval', u16],
  ['paction', s32],
])

/** TCA_GACT_* of linux/tc_act/tc_gact.h. */
export const gact = attrs('TCA_GACT', () => ({
  TCA_GACT_TM: [1, tcf_t],
  TCA_GACT_PARMS: [2, tc_gact],
  TCA_GACT_PROB: [3, tc_gact_p],
  TCA_GACT_PAD: [4, bytes()],
}))
