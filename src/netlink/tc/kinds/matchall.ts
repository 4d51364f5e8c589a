// The filter that matches every frame: TCA_MATCHALL_* of linux/pkt_cls.h.
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { bytes, u32 } from '../../codec/wire.ts'
import { actions } from '../actions/action.ts'

/** TCA_MATCHALL_* of linux/pkt_cls.h; mall_policy, net/sched/cls_matchall.c. FLAGS as TCA_CLS_FLAGS. */
export const matchall = attrs('TCA_MATCHALL', () => ({
  TCA_MATCHALL_CLASSID: [1, u32],
  TCA_MATCHALL_ACT: [2, actions, 'noflag'],
  TCA_MATCHALL_FLAGS: [3, u32],
  TCA_MATCHALL_PCNT: [4, bytes()],
  TCA_MATCHALL_PAD: [5, bytes()],
}))
export type Matchall = AttrsOf<(typeof matchall)['table']>
