/** Rate limits for `vfctl show`: the parts of each limit, with their counters or their present setting. Reads only. */
import type { Kernel } from '../kernel/api/kernel.ts'
import type { RateCounters, RateSetting } from '../kernel/api/rates.ts'
import type { ReportedLimit } from '../offload/state/report.ts'
import { commandLine, sideOfOp } from '../ops/command-line.ts'
import type { Op } from '../ops/op.ts'
import type { LimitRecord, OffloadJournal } from '../records/offload.ts'

/** A limit with the things that it is made of. */
export interface ShownLimit extends ReportedLimit {
  readonly parts: readonly LimitPart[]
}

/** A thing that a limit is made of, or a rate that is set, with the command that makes it. */
export type LimitPart = (RateCounters | RateSetting) & { readonly line: string }

/** The limits of an attachment. `inPod`: the pod is there and can be asked. */
export function shownLimits(
  kernel: Kernel,
  { limits = [], uplink }: Pick<OffloadJournal, 'limits' | 'uplink'>,
  inPod: boolean,
): ShownLimit[] {
  return limits.map(({ ops, ...rest }: LimitRecord) => ({
    ...rest,
    // Before an ADD ends its record names all that it may do, also in ways that it does not go.
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
