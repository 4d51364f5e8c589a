// The common part of qdiscs, chains and filters: struct tcmsg and TCA_* of linux/rtnetlink.h, handles of linux/pkt_sched.h.
import { attrs, byKind } from '../codec/attrs.ts'
import { bytes, cstr, u8, u32, type Value } from '../codec/wire.ts'
import { type FamilyRequest, family } from '../message.ts'
import { nla_bitfield32 } from './actions/action.ts'
import { basic } from './kinds/basic.ts'
import { bpf } from './kinds/bpf.ts'
import { flower } from './kinds/flower.ts'
import { matchall } from './kinds/matchall.ts'
import { u32Filter } from './kinds/u32.ts'
import { stats } from './stats.ts'
import { tbf } from './tbf.ts'
import { tcmsg } from './tcm.ts'

export { CLSACT_EGRESS, CLSACT_INGRESS, filterInfo, priorityOf, protocolOf, TC_H, tcmsg } from './tcm.ts'

/** Minor numbers below the major number of TC_H_CLSACT: the parents of filters on a clsact or ingress qdisc. */
export const TC_H_MIN = { TC_H_MIN_INGRESS: 0xfff2, TC_H_MIN_EGRESS: 0xfff3 } as const
/** TCM_IFINDEX_MAGIC_BLOCK as a signed number, because tcm_ifindex is signed. */
export const BLOCK_IFINDEX = -1
/** TCA_DUMP_FLAGS_TERSE: a dump with only handles, cookies, flags and counters. */
export const TCA_DUMP_FLAGS = { TCA_DUMP_FLAGS_TERSE: 1 } as const

/** Options of clsact and ingress: none. The kernel dumps an empty nest. */
export const noOptions = attrs('TCA_OPTIONS', () => ({}))

/** TCA_* of linux/rtnetlink.h; rtm_tca_policy, net/sched/sch_api.c and cls_api.c. */
export const tca = attrs('TCA', () => ({
  TCA_KIND: [1, cstr(16)],
  TCA_OPTIONS: [
    2,
    byKind('TCA_KIND', {
      ...{ flower, matchall, u32: u32Filter, basic, bpf },
      ...{ tbf, clsact: noOptions, ingress: noOptions },
    }),
    'noflag',
  ],
  TCA_STATS: [3, bytes()],
  TCA_XSTATS: [4, bytes()],
  TCA_RATE: [5, bytes()],
  TCA_FCNT: [6, bytes()],
  TCA_STATS2: [7, stats, 'noflag'],
  TCA_STAB: [8, bytes()],
  TCA_PAD: [9, bytes()],
  TCA_DUMP_INVISIBLE: [10, bytes()],
  TCA_CHAIN: [11, u32],
  TCA_HW_OFFLOAD: [12, u8],
  TCA_INGRESS_BLOCK: [13, u32],
  TCA_EGRESS_BLOCK: [14, u32],
  TCA_DUMP_FLAGS: [15, nla_bitfield32],
  TCA_EXT_WARN_MSG: [16, cstr(0xffff)],
}))

/** The payload of RTM_*QDISC, RTM_*TFILTER, RTM_*CHAIN. */
export const tcMessage = family(tcmsg, tca)
export type Tc = Value<typeof tcMessage>
export type TcRequest = FamilyRequest<(typeof tcmsg)['fields'], (typeof tca)['table']>
