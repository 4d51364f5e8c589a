/** Counts packets and bytes of filters, in hardware and in software, and of interfaces. */

import { eachAttribute } from '../../netlink/codec/tlv.ts'
import { getLink, ifinfomsg, link } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { actionsOf, decodeFilter, getFilter, isInHardware } from '../../netlink/tc/filter.ts'
import { countersOf, type Stats } from '../../netlink/tc/stats.ts'
import type { FilterCounters } from '../api/counters.ts'
import type { CountedRule } from '../api/filters.ts'
import type { LinkCounters } from '../api/links.ts'
import { portTraffic } from '../link/traffic.ts'
import { flowFilterPlace } from '../tc/flow-filter-spec.ts'

/** Counters of each filter; undefined for a filter that does not exist. */
export function filterCounters(
  socket: NetlinkSocket,
  rules: readonly CountedRule[],
  indexOf: (link: string) => number,
): (FilterCounters | undefined)[] {
  const requests = rules.map(({ rule, handle }) =>
    getFilter(flowFilterPlace(rule.ifindex ?? indexOf(rule.link), rule, handle ?? 0), 'flower'),
  )
  return socket.batch(requests).map((reply) => {
    const message = reply instanceof NetlinkError ? undefined : reply.messages[0]
    if (message === undefined) return undefined
    const filter = decodeFilter(message)
    // The last action counts. All actions see the same frames, but drivers do not count for some of them (csum).
    return { inHw: isInHardware(filter), ...apart(actionsOf(filter).at(-1)?.TCA_ACT_STATS ?? []) }
  })
}

/** Splits counters: hardware as the kernel reports it, software as the rest. */
export function apart(stats: Stats): Pick<FilterCounters, 'hardware' | 'software'> {
  const { all, hardware } = countersOf(stats)
  const software = { packets: all.packets - hardware.packets, bytes: all.bytes - hardware.bytes }
  return { hardware, software }
}

/** LinkKernel.vfCounters */
export function vfCounters(
  socket: NetlinkSocket,
  pf: number,
  vf: number,
  numVfs: number,
): LinkCounters | undefined {
  const found = portTraffic(socket, pf, numVfs)?.vfs.get(vf)
  if (found === undefined) return undefined
  const { receive, transmit } = found
  return { received: receive, sent: transmit, dropped: (receive.dropped ?? 0n) + (transmit.dropped ?? 0n) }
}

/** IFLA_STATS64 in the payload of RTM_NEWLINK: the rest, of which `vfctl show` has no use for any pod, is passed over undecoded. */
function statsIn(payload: Uint8Array): Uint8Array | undefined {
  let found: Uint8Array | undefined
  eachAttribute('IFLA', payload, ifinfomsg.size, payload.length, (type, _, start, end) => {
    if (type === link.table.IFLA_STATS64[0]) found = payload.subarray(start, end)
  })
  return found
}

/** Counters of an interface by its name; undefined without such an interface. struct rtnl_link_stats64 of linux/if_link.h. */
export function linkCounters(socket: NetlinkSocket, name: string): LinkCounters | undefined {
  try {
    const [message] = socket.request(getLink(name)).messages
    const stats = message === undefined ? undefined : statsIn(message.payload)
    if (stats === undefined || stats.length < 64) return undefined
    const view = new DataView(stats.buffer, stats.byteOffset, stats.length)
    const at = (field: number) => view.getBigUint64(8 * field, true)
    return {
      received: { packets: at(0), bytes: at(2) },
      sent: { packets: at(1), bytes: at(3) },
      dropped: at(6) + at(7),
    }
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined
    throw error
  }
}
