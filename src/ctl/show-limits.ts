/** Rate limits for `vfctl show`: what each is made of, with what it has counted or what it is set to now. Reads only. */
import type { Kernel } from '../kernel/api/kernel.ts'
import type { RateCounters, RateSetting } from '../kernel/api/rates.ts'
import type { LimitRecord, OffloadJournal } from '../offload/state/record.ts'
import type { ReportedLimit } from '../offload/state/report.ts'
import { commandLine, sideOfOp } from '../ops/command-line.ts'
import type { Op } from '../ops/op.ts'

/** A limit with the things that it is made of. */
export interface ShownLimit extends ReportedLimit {
  readonly parts: readonly LimitPart[]
}

/** A thing that a limit is made of, or a rate that is set, with the command that makes it. */
export type LimitPart = (RateCounters | RateSetting) & { readonly line: string }

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
  const shown = kernel.measure(onUplinkNow(kernel, op, uplink), sideOfOp(op) === 'host' || inPod)
  return shown && { ...shown, line: commandLine(op) }
}

/** The PF may have got another name since the ADD. */
function onUplinkNow(kernel: Kernel, op: Op, uplink: number | undefined): Op {
  if (op.do !== 'vf.set') return op
  const pf = kernel.links('host').find(({ ifindex }) => ifindex === uplink)?.name
  return pf === undefined ? op : { ...op, pf }
}
