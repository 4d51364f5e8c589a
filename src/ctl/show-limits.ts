/** Rate limits for `vfctl show`: what each is made of, with what it has counted or what it is set to now. Reads only. */
import type { Kernel } from '../kernel/api/kernel.ts'
import type { LimitCounters } from '../kernel/api/rates.ts'
import type { LimitRecord, OffloadJournal } from '../offload/state/record.ts'
import type { ReportedLimit } from '../offload/state/report.ts'
import { commandLine } from '../ops/command-line.ts'
import type { Op } from '../ops/op.ts'

/** A limit with the things that it is made of. */
export interface ShownLimit extends ReportedLimit {
  readonly parts: readonly LimitPart[]
}

/** A qdisc, filter, policer or ifb of a limit; undefined counters: it is not there. */
interface Counting {
  readonly kind: 'counters'
  /** The command that makes it. */
  readonly line: string
  readonly counters: LimitCounters | undefined
}

/** A rate that is set on a VF or its devlink port: nobody counts there, so that it is read back. Rates in bit/s, 0 = none. */
interface Setting {
  readonly kind: 'setting'
  readonly line: string
  readonly wanted: number
  /** undefined: it can't be read. */
  readonly now: number | undefined
}

export type LimitPart = Counting | Setting

/** `inPod`: the pod is there, so that what is in it can be asked. */
export function shownLimits(
  kernel: Kernel,
  { limits = [], uplink }: Pick<OffloadJournal, 'limits' | 'uplink'>,
  inPod: boolean,
): ShownLimit[] {
  return limits.map(({ ops, ...rest }: LimitRecord) => ({
    ...rest,
    // Before an ADD has come to its end the record names what it may have done, by ways that it may not have gone.
    parts:
      rest.where === undefined ? [] : ops.flatMap((op) => partOf(kernel, op, uplink?.ifindex, inPod) ?? []),
  }))
}

function partOf(kernel: Kernel, op: Op, uplink: number | undefined, inPod: boolean): LimitPart | undefined {
  const line = commandLine(op)
  const counting = (isThere: boolean): LimitPart => ({
    ...{ kind: 'counters', line },
    counters: isThere ? kernel.limitCounters(op) : undefined,
  })
  switch (op.do) {
    case 'shaper.add':
      return counting(op.shaper.side === 'host' || inPod)
    case 'ifb.add':
      return counting(op.side === 'host' || inPod)
    case 'detour.add':
      return counting(op.detour.side === 'host' || inPod)
    case 'police.add':
    case 'limiter.add':
    case 'meter.add':
      return counting(true)
    case 'vf.set': {
      // The PF may have got another name since the ADD.
      const pf = kernel.links('host').find(({ ifindex }) => ifindex === uplink)?.name ?? op.pf
      const now = kernel.link('host', pf, { vfs: true })?.vfs?.get(op.vf)?.rate?.max
      return { kind: 'setting', line, wanted: (op.set.rate?.max ?? 0) * megabit, now: now && now * megabit }
    }
    case 'devlink.rate.set': {
      const now = kernel.rates().ratesOfPort(op.handle)?.max
      return { kind: 'setting', line, wanted: op.set.max * 8, now: now && now * 8 }
    }
    default:
      return undefined
  }
}

/** Rates of VFs are in Mbit/s. */
const megabit = 1_000_000
