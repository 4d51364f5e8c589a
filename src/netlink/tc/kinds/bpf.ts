// Filters that are BPF programs: TCA_BPF_* of linux/pkt_cls.h.
import { attrs } from '../../codec/attrs.ts'
import { bytes, cstr, u16, u32 } from '../../codec/wire.ts'
import { actions } from '../actions/action.ts'

/** TCA_BPF_FLAG_ACT_DIRECT: the return value of the program is the verdict (TC_ACT). */
export const TCA_BPF_FLAG = { TCA_BPF_FLAG_ACT_DIRECT: 1 } as const

/** TCA_BPF_* of linux/pkt_cls.h. */
export const bpf = attrs('TCA_BPF', () => ({
  TCA_BPF_ACT: [1, actions, 'noflag'],
  TCA_BPF_POLICE: [2, bytes()],
  TCA_BPF_CLASSID: [3, u32],
  TCA_BPF_OPS_LEN: [4, u16],
  TCA_BPF_OPS: [5, bytes()],
  TCA_BPF_FD: [6, u32],
  TCA_BPF_NAME: [7, cstr(256)],
  TCA_BPF_FLAGS: [8, u32],
  TCA_BPF_FLAGS_GEN: [9, u32],
  TCA_BPF_TAG: [10, bytes()],
  TCA_BPF_ID: [11, u32],
}))
