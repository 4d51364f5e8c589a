/** Filters and traffic of attachments, as `vfctl show` has them, for metrics. Pure. */
import type { Shown, ShownFilters } from '../../src/ctl/show.ts'
import type { Counted } from '../../src/kernel/api/traffic.ts'
import type { Attachment } from '../allocations/attachment.ts'
import type { Samples } from './samples.ts'

/** Adds the filters of attachments: numbers, packets and bytes, by the place where they run. */
export function addFilters(
  samples: Samples,
  shown: readonly ShownFilters[],
  attachments: ReadonlyMap<string, Attachment>,
): void {
  const devices = new Map([...attachments.values()].map((one) => [keyOf(one), one]))
  for (const one of shown) {
    const attachment = devices.get(keyOf(one))
    const labels = {
      device: attachment?.device ?? textIn(one.report, 'device'),
      namespace: attachment?.pod?.namespace ?? textIn(one.report, 'pod').split('/')[0] ?? '',
      pod: attachment?.pod?.name ?? textIn(one.report, 'pod').split('/')[1] ?? '',
      container_id: one.containerID,
      interface: one.ifname,
    }
    const counts = { hardware: 0, software: 0, missing: 0 }
    for (const { counters } of one.rules)
      counts[counters === undefined ? 'missing' : counters.inHw ? 'hardware' : 'software']++
    for (const place of ['hardware', 'software', 'missing'] as const)
      samples.add('vf_flower_filters', { ...labels, place }, counts[place])
    for (const direction of ['to', 'from'] as const) {
      const rules = one.rules.filter((rule) => rule.direction === direction)
      for (const place of ['hardware', 'software'] as const) {
        const sum = (what: 'packets' | 'bytes') =>
          rules.reduce((total, { counters }) => total + (counters?.[place][what] ?? 0n), 0n)
        const all = { ...labels, place, direction }
        samples.add('vf_flower_filter_packets_total', all, sum('packets'))
        samples.add('vf_flower_filter_bytes_total', all, sum('bytes'))
      }
    }
  }
}

/** The traffic of VFs by the counters of their interfaces in pods. */
export function trafficInPods(shown: readonly Shown[]): ReadonlyMap<string, Counted> {
  return new Map(
    shown.flatMap(({ device, traffic }) =>
      device === undefined || traffic === undefined
        ? []
        : [[device.id, { receive: traffic.received, transmit: traffic.sent }] as const],
    ),
  )
}

function keyOf({ containerID, ifname }: { readonly containerID: string; readonly ifname: string }): string {
  return `${containerID} ${ifname}`
}

/** A text of a report of vf-offload, which is for people; '' where it has none. */
function textIn(report: unknown, key: string): string {
  const value = typeof report === 'object' && report !== null ? Reflect.get(report, key) : undefined
  return typeof value === 'string' ? value : ''
}
