// Push, pop or change a VLAN tag. linux/tc_act/tc_vlan.h
import { attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { be16, bytes, mac, s32, u8, u16 } from '../../codec/wire.ts'
import { tc_gen, tcf_t } from './gact.ts'

/** TCA_VLAN_ACT_* of linux/tc_act/tc_vlan.h. */
export const TCA_VLAN_ACT = {
  TCA_VLAN_ACT_POP: 1,
  TCA_VLAN_ACT_PUSH: 2,
  TCA_VLAN_ACT_MODIFY: 3,
  TCA_VLAN_ACT_POP_ETH: 4,
  TCA_VLAN_ACT_PUSH_ETH: 5,
} as const

/** struct tc_vlan, linux/tc_act/tc_vlan.h */
export const tc_vlan = struct('tc_vlan', [...tc_gen, ['v_action', s32]])

/** TCA_VLAN_* of linux/tc_act/tc_vlan.h; vlan_policy, net/sched/act_vlan.c. The id is in host order, the protocol in network order. */
export const vlan = attrs('TCA_VLAN', () => ({
  TCA_VLAN_TM: [1, tcf_t],
  TCA_VLAN_PARMS: [2, tc_vlan],
  TCA_VLAN_PUSH_VLAN_ID: [3, u16],
  TCA_VLAN_PUSH_VLAN_PROTOCOL: [4, be16],
  TCA_VLAN_PAD: [5, bytes()],
  TCA_VLAN_PUSH_VLAN_PRIORITY: [6, u8],
  TCA_VLAN_PUSH_ETH_DST: [7, mac],
  TCA_VLAN_PUSH_ETH_SRC: [8, mac],
}))
