// The filter that matches by an expression, or without one every packet: TCA_BASIC_* of linux/pkt_cls.h.
import { type AttrsOf, attrs } from '../attrs.ts'
import { bytes, u32 } from '../wire.ts'
import { actions } from './action.ts'

/** TCA_BASIC_* of linux/pkt_cls.h; basic_policy, net/sched/cls_basic.c. It knows no flags: no NIC takes it. */
export const basic = attrs('TCA_BASIC', () => ({
  TCA_BASIC_CLASSID: [1, u32],
  TCA_BASIC_EMATCHES: [2, bytes()],
  TCA_BASIC_ACT: [3, actions, 'noflag'],
  TCA_BASIC_POLICE: [4, bytes()],
  TCA_BASIC_PCNT: [5, bytes()],
  TCA_BASIC_PAD: [6, bytes()],
}))
export type Basic = AttrsOf<(typeof basic)['table']>
