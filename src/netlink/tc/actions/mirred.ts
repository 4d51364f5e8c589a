// Mirror or redirect a frame to another device. linux/tc_act/tc_mirred.h
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, s32, u32 } from '../../codec/wire.ts'
import { tc_gen, tcf_t } from './gact.ts'

/** TCA_*GRESS_* of linux/tc_act/tc_mirred.h. */
export const TCA_MIRRED_EACTION = {
  TCA_EGRESS_REDIR: 1,
  TCA_EGRESS_MIRROR: 2,
  TCA_INGRESS_REDIR: 3,
  TCA_INGRESS_MIRROR: 4,
} as const

/** struct tc_mirred, linux/tc_act/tc_mirred.h. `ifindex` 0 in a dump: the device is gone. */
export const tc_mirred = struct('tc_mirred', [...tc_gen, ['eaction', s32], ['ifindex', u32]])

/** TCA_MIRRED_* of linux/tc_act/tc_mirred.h. */
export const mirred = attrs('TCA_MIRRED', () => ({
  TCA_MIRRED_TM: [1, tcf_t],
  TCA_MIRRED_PARMS: [2, tc_mirred],
  TCA_MIRRED_PAD: [3, bytes()],
  TCA_MIRRED_BLOCKID: [4, u32],
}))
export type Mirred = AttrsOf<(typeof mirred)['table']>
