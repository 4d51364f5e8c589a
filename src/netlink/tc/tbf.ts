// The token bucket filter, a qdisc that queues packets over the rate. linux/pkt_sched.h, sch_tbf.c
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { bytes, u32, u64 } from '../codec/wire.ts'
import { noRate, rateSpec, TC_RTAB_SIZE, tc_ratespec, ticksOf } from './actions/police.ts'

/** struct tc_tbf_qopt, linux/pkt_sched.h. `limit` in bytes, `buffer` and `mtu` in ticks of 64 ns at rate and peakrate. */
export const tc_tbf_qopt = struct('tc_tbf_qopt', [
  ['rate', tc_ratespec],
  ['peakrate', tc_ratespec],
  ['limit', u32],
  ['buffer', u32],
  ['mtu', u32],
])

/** TCA_TBF_* of linux/pkt_sched.h. BURST in bytes. */
export const tbf = attrs('TCA_TBF', () => ({
  TCA_TBF_PARMS: [1, tc_tbf_qopt],
  TCA_TBF_RTAB: [2, bytes(TC_RTAB_SIZE)],
  TCA_TBF_PTAB: [3, bytes(TC_RTAB_SIZE)],
  TCA_TBF_RATE64: [4, u64],
  TCA_TBF_PRATE64: [5, u64],
  TCA_TBF_BURST: [6, u32],
  TCA_TBF_PBURST: [7, u32],
  TCA_TBF_PAD: [8, bytes()],
}))
export type Tbf = AttrsOf<(typeof tbf)['table']>

/** A shaper: bytes per second, bytes that may go at once (`burst`), and bytes that may wait (`limit`, without those of the burst). */
export interface TbfSpec {
  readonly bytesPerSecond: number
  readonly burst: number
  readonly limit: number
  /** `mtu` of the qdisc, 26 bits. Without a peak rate the kernel does not use the number, but keeps it and reports it. */
  readonly mark?: number
}

/** Options of a tbf qdisc. @throws RangeError for a burst that the kernel's ticks can't hold: a dump would show it wrapped */
export function tbfOptions({ bytesPerSecond, burst, limit, mark = 0 }: TbfSpec): Tbf {
  const { spec, rate64 } = rateSpec(bytesPerSecond)
  const buffer = ticksOf(burst, bytesPerSecond)
  if (buffer > 0xffffffff)
    throw new RangeError(`Cannot make tc_tbf_qopt: a burst of ${burst} bytes is more than 32 bits of ticks`)
  return {
    TCA_TBF_PARMS: { rate: spec, peakrate: noRate, limit, buffer, mtu: mark },
    TCA_TBF_BURST: burst,
    ...(rate64 === undefined ? {} : { TCA_TBF_RATE64: rate64 }),
  }
}
