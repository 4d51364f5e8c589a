// The policer: lets through frames within a token bucket, and drops or passes on the others. linux/pkt_cls.h, act_police.c
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, s16, s32, u8, u16, u32, u64 } from '../../codec/wire.ts'
import { TC_ACT, tcf_t } from './gact.ts'

/** TC_LINKLAYER_* of linux/pkt_sched.h. With ETHERNET the kernel does not guess the link layer from the rate table. */
export const TC_LINKLAYER = { TC_LINKLAYER_UNAWARE: 0, TC_LINKLAYER_ETHERNET: 1 } as const
/** TC_RTAB_SIZE of linux/pkt_sched.h: bytes of a rate table. */
export const TC_RTAB_SIZE = 1024

/** struct tc_ratespec, linux/pkt_sched.h. `rate` in bytes/s; all ones where TCA_*_RATE64 has it. */
export const tc_ratespec = struct('tc_ratespec', [
  ['cell_log', u8],
  ['linklayer', u8],
  ['overhead', u16],
  ['cell_align', s16],
  ['mpu', u16],
  ['rate', u32],
])

/** struct tc_police, linux/pkt_cls.h. `action` is for frames over the rate or longer than `mtu` bytes; `burst` in ticks of 64 ns. */
export const tc_police = struct('tc_police', [
  ['index', u32],
  ['action', s32],
  ['limit', u32],
  ['burst', u32],
  ['mtu', u32],
  ['rate', tc_ratespec],
  ['peakrate', tc_ratespec],
  ['refcnt', s32],
  ['bindcnt', s32],
  ['capab', u32],
])

/** TCA_POLICE_* of linux/pkt_cls.h. RESULT is the verdict for a frame within the rate. */
export const police = attrs('TCA_POLICE', () => ({
  TCA_POLICE_TBF: [1, tc_police],
  TCA_POLICE_RATE: [2, bytes(TC_RTAB_SIZE)],
  TCA_POLICE_PEAKRATE: [3, bytes(TC_RTAB_SIZE)],
  TCA_POLICE_AVRATE: [4, u32],
  TCA_POLICE_RESULT: [5, s32],
  TCA_POLICE_TM: [6, tcf_t],
  TCA_POLICE_PAD: [7, bytes()],
  TCA_POLICE_RATE64: [8, u64],
  TCA_POLICE_PEAKRATE64: [9, u64],
  TCA_POLICE_PKTRATE64: [10, u64],
  TCA_POLICE_PKTBURST64: [11, u64],
}))
export type Police = AttrsOf<(typeof police)['table']>

/** A rate in the form of the structs: whole in `rate`, or all ones there and whole in `rate64`. */
export interface RateSpec {
  readonly spec: {
    readonly cell_log: number
    readonly linklayer: number
    readonly overhead: number
    readonly cell_align: number
    readonly mpu: number
    readonly rate: number
  }
  readonly rate64: bigint | undefined
}

/** The rate of an unused peak rate. */
export const noRate: RateSpec['spec'] = {
  cell_log: 0,
  linklayer: 0,
  overhead: 0,
  cell_align: 0,
  mpu: 0,
  rate: 0,
}

/** `bytesPerSecond` (1 to 2^53) in the structs' form. The kernel checks cell_log, and does not use it since Linux 3.8. */
export function rateSpec(bytesPerSecond: number): RateSpec {
  if (!Number.isSafeInteger(bytesPerSecond) || bytesPerSecond < 1)
    throw new RangeError(`Cannot make tc_ratespec: ${bytesPerSecond} is no rate in bytes/s`)
  const isLong = bytesPerSecond > 0xffffffff
  return {
    spec: {
      cell_log: 3,
      linklayer: TC_LINKLAYER.TC_LINKLAYER_ETHERNET,
      overhead: 0,
      cell_align: -1,
      mpu: 0,
      rate: isLong ? 0xffffffff : bytesPerSecond,
    },
    rate64: isLong ? BigInt(bytesPerSecond) : undefined,
  }
}

/** The rate of a struct and its 64-bit attribute, in bytes/s. */
export function rateOf(spec: { readonly rate: number }, rate64: bigint | undefined): number {
  return rate64 === undefined ? spec.rate : Number(rate64)
}

/** Nanoseconds in a tick: PSCHED_SHIFT is 6 (net/pkt_sched.h of the kernel), in every kernel since 2.6.31. */
const tickNs = 64

/** The time of `size` bytes at `bytesPerSecond`, in ticks, rounded up; may exceed the 32 bits of the structs. */
export function ticksOf(size: number, bytesPerSecond: number): number {
  return Math.ceil((size * (1e9 / tickNs)) / bytesPerSecond)
}

/** The bytes that fit into `ticks` at `bytesPerSecond`, rounded down. */
export function bytesOfTicks(ticks: number, bytesPerSecond: number): number {
  return Math.floor((ticks * tickNs * bytesPerSecond) / 1e9)
}

/** A policer. `mtu` in bytes: a longer frame is over the rate, and the kernel checks the segments of a longer packet one by one. */
export interface PolicerSpec {
  readonly bytesPerSecond: number
  /** Bytes. Their time at the rate must be below 274 s, the limit of 32 bits of ticks. */
  readonly burst: number
  readonly mtu: number
  /** TC_ACT for a frame within the rate. */
  readonly conform: number
  /** 0 or absent lets the kernel choose. */
  readonly index?: number
}

/** Options of a policer that drops frames over the rate. @throws RangeError for a burst that the kernel's ticks can't hold */
export function policer({ bytesPerSecond, burst, mtu, conform, index = 0 }: PolicerSpec): Police {
  const { spec, rate64 } = rateSpec(bytesPerSecond)
  const ticks = ticksOf(burst, bytesPerSecond)
  if (ticks > 0xffffffff)
    throw new RangeError(`Cannot make tc_police: a burst of ${burst} bytes is more than 32 bits of ticks`)
  return {
    TCA_POLICE_TBF: {
      index,
      action: TC_ACT.TC_ACT_SHOT,
      limit: 0,
      burst: ticks,
      mtu,
      rate: spec,
      peakrate: noRate,
      refcnt: 0,
      bindcnt: 0,
      capab: 0,
    },
    // The kernel does not use the content, but answers ENOMEM without it.
    TCA_POLICE_RATE: new Uint8Array(TC_RTAB_SIZE),
    ...(rate64 === undefined ? {} : { TCA_POLICE_RATE64: rate64 }),
    TCA_POLICE_RESULT: conform,
  }
}

/** Options that name the policer with that index: all filters with these options share one limit. */
export function policerByIndex(index: number): Police {
  return {
    TCA_POLICE_TBF: {
      index,
      action: TC_ACT.TC_ACT_SHOT,
      limit: 0,
      burst: 0,
      mtu: 0,
      rate: noRate,
      peakrate: noRate,
      refcnt: 0,
      bindcnt: 0,
      capab: 0,
    },
  }
}
