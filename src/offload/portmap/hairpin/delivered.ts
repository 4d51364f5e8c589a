/**
 * Frames of hairpin filters that do not arrive: the NIC counts what a filter takes, and the PF or the pod's interface what comes
 * to the pod. Both are compared from ADD on.
 */
import type { LinkCounters } from '../../../kernel/api/links.ts'
import type { OffloadJournal } from '../../../records/offload.ts'
import type { CheckContext } from '../../feature.ts'
import type { Port } from '../../port/port.ts'
import { isHairpin } from '../../state/report.ts'

/** Packets so far, those included that the receiver had no room for. Absent: nobody counts so. */
export type Received = NonNullable<OffloadJournal['received']>

/** The counters to compare with later: of the PF for its VF, and of the interface in the pod. */
export function receivedBy(kernel: CheckContext['kernel'], { name, vf, wire }: Port): Received {
  const [byPf, byPod] = [
    vf === undefined || wire === undefined
      ? undefined
      : kernel.vfCounters(wire.uplink.ifindex, vf.index, wire.uplink.vfs?.size ?? 0),
    kernel.linkCounters('pod', name),
  ]
  return {
    ...(byPf === undefined ? {} : { byPf: packetsOf(byPf) }),
    ...(byPod === undefined ? {} : { byPod: packetsOf(byPod) }),
  }
}

/**
 * A sentence where fewer packets have come to the pod than its hairpin filters have taken in the NIC. Other packets come to the pod
 * too, so that silence proves nothing.
 */
export function* undelivered(
  { kernel }: Pick<CheckContext, 'kernel'>,
  { rules, received: before }: OffloadJournal,
  port: Port,
): Iterable<string> {
  const own = rules.filter(isHairpin)
  if (own.length === 0 || before === undefined) return
  // In this order: a packet that comes meanwhile is counted as received at most.
  const taken = kernel.filterCounters(own).reduce((sum, one) => sum + Number(one?.hardware.packets ?? 0n), 0)
  const now = receivedBy(kernel, port)
  // A PF whose driver counts for none of its VFs yet may do so later: with nothing counted at ADD.
  const [count, base] = now.byPf === undefined ? [now.byPod, before.byPod] : [now.byPf, before.byPf ?? 0]
  // A counter that has begun anew tells nothing.
  if (count === undefined || base === undefined || count < base || count - base >= taken) return
  const { uplink } = port.wire ?? {}
  const who = port.vf === undefined ? `"${port.name}" in the pod` : `VF ${port.vf.index} of "${uplink?.name}"`
  yield `filters in the NIC have taken ${taken} frames since ADD and ${who} has received ${count - base}: the card does not deliver what it sends back by "${uplink?.name}"; use legacyOffload "off"`
}

function packetsOf({ received, dropped }: LinkCounters): number {
  return Number(received.packets + dropped)
}
