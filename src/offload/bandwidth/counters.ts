/** The counters of limits for `vfctl show`: those of each thing of which a limit is made, or the rate that is set now. Reads only. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import { commandLine, sideOfOp } from '../../ops/command-line.ts'
import type { Op } from '../../ops/op.ts'
import type { CountersContext } from '../feature.ts'
import type { LimitPart, ShownSections } from '../state/shown.ts'

/** Asks the kernel for each operation of each limit; in the pod only while the pod is there. */
export function bandwidthCounters({
  kernel,
  journal: { limits = [], uplink },
  inPod,
}: Pick<CountersContext, 'kernel' | 'journal' | 'inPod'>): Pick<ShownSections, 'limits'> {
  return {
    limits: limits.map(({ ops, ...rest }) => ({
      ...rest,
      // Before an ADD has come to its end the record names operations that may not have been done.
      parts:
        rest.where === undefined ? [] : ops.flatMap((op) => partOf(kernel, op, uplink?.ifindex, inPod) ?? []),
    })),
  }
}

function partOf(kernel: Kernel, op: Op, uplink: number | undefined, inPod: boolean): LimitPart | undefined {
  const shown = kernel.measure(onUplinkNow(kernel, op, uplink), sideOfOp(op) === 'host' || inPod)
  return shown && { ...shown, line: commandLine(op) }
}

/** The PF may have got another name since the ADD. */
function onUplinkNow(kernel: Kernel, op: Op, uplink: number | undefined): Op {
  if (op.do !== 'vf.set') return op
  const pf = uplink === undefined ? undefined : kernel.link('host', uplink)?.name
  return pf === undefined ? op : { ...op, pf }
}
