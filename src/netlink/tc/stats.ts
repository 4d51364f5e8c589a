// Counters of actions, qdiscs and filters: TCA_STATS_* of linux/gen_stats.h. The order has a meaning: PKT64 belongs to the
// BASIC or BASIC_HW before it.
import { ordered } from '../codec/lists.ts'
import { struct } from '../codec/struct.ts'
import { bytes, u32, u64, type Value } from '../codec/wire.ts'

/** struct gnet_stats_basic, linux/gen_stats.h. `packets` is the low half of the count. */
export const gnet_stats_basic = struct('gnet_stats_basic', [
  ['bytes', u64],
  ['packets', u32],
  ['_pad', bytes(4)],
])
/** struct gnet_stats_rate_est, linux/gen_stats.h. Bytes and packets per second. */
export const gnet_stats_rate_est = struct('gnet_stats_rate_est', [
  ['bps', u32],
  ['pps', u32],
])
/** struct gnet_stats_rate_est64, linux/gen_stats.h */
export const gnet_stats_rate_est64 = struct('gnet_stats_rate_est64', [
  ['bps', u64],
  ['pps', u64],
])
/** struct gnet_stats_queue, linux/gen_stats.h */
export const gnet_stats_queue = struct('gnet_stats_queue', [
  ['qlen', u32],
  ['backlog', u32],
  ['drops', u32],
  ['requeues', u32],
  ['overlimits', u32],
])

/** TCA_ACT_STATS and TCA_STATS2. */
export const stats = ordered('TCA_STATS', () => ({
  TCA_STATS_BASIC: [1, gnet_stats_basic],
  TCA_STATS_RATE_EST: [2, gnet_stats_rate_est],
  TCA_STATS_QUEUE: [3, gnet_stats_queue],
  TCA_STATS_APP: [4, bytes()],
  TCA_STATS_RATE_EST64: [5, gnet_stats_rate_est64],
  TCA_STATS_PAD: [6, bytes()],
  TCA_STATS_BASIC_HW: [7, gnet_stats_basic],
  TCA_STATS_PKT64: [8, u64],
}))
export type Stats = Value<typeof stats>

/** The waiting and dropped packets of a qdisc or an action; undefined when the list has no queue. */
export function queueOf(list: Stats): Value<typeof gnet_stats_queue> | undefined {
  for (const [name, value] of list) if (name === 'TCA_STATS_QUEUE') return value
  return undefined
}

/** Bytes (without the Ethernet header on ingress) and packets. */
export interface Count {
  readonly bytes: bigint
  readonly packets: bigint
}

/** Frames that an action has seen: all, and those in hardware. Software is the difference. `drops` are those of a policer. */
export interface Counters {
  readonly all: Count
  readonly hardware: Count
  readonly drops: number
}

/** Sums up the list of a dump. An absent counter is 0: an action without hardware has no BASIC_HW. */
export function countersOf(list: Stats): Counters {
  const none: Count = { bytes: 0n, packets: 0n }
  let all = none
  let hardware = none
  let drops = 0
  let inHardware = false
  for (const [name, value] of list) {
    if (name === 'TCA_STATS_BASIC') all = { bytes: value.bytes, packets: BigInt(value.packets) }
    else if (name === 'TCA_STATS_BASIC_HW') hardware = { bytes: value.bytes, packets: BigInt(value.packets) }
    else if (name === 'TCA_STATS_QUEUE') drops = value.drops
    else if (name === 'TCA_STATS_PKT64') {
      if (inHardware) hardware = { ...hardware, packets: value }
      else all = { ...all, packets: value }
    }
    if (name === 'TCA_STATS_BASIC' || name === 'TCA_STATS_BASIC_HW')
      inHardware = name === 'TCA_STATS_BASIC_HW'
  }
  return { all, hardware, drops }
}
