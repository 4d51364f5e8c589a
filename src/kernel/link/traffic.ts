/** Counters of interfaces and VFs, from rtnetlink. */
import type { Value } from '../../netlink/codec/wire.ts'
import { decodeLink, dumpLinks, getLink, type Link, RTEXT_FILTER } from '../../netlink/rtnl/link.ts'
import type { vfStats } from '../../netlink/rtnl/vf.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { Counted, PortCounted } from '../api/traffic.ts'

/**
 * Most VFs that a PF is asked for with their statistics. A list of VFs has a 16-bit length; each VF takes about 310 bytes of it
 * today, and 436 bytes are left for each here.
 */
export const mostVfsWithStatistics = 150

/** Counters of an uplink and its VFs, in one request; undefined when there is no such interface. See {@link mostVfsWithStatistics}. */
export function portTraffic(socket: NetlinkSocket, ifindex: number, numVfs: number): PortCounted | undefined {
  const mask = numVfs > 0 && numVfs <= mostVfsWithStatistics ? RTEXT_FILTER.RTEXT_FILTER_VF : 0
  try {
    const [message] = socket.request(getLink(ifindex, mask)).messages
    if (message === undefined) return undefined
    const link = decodeLink(message)
    return { uplink: statisticsOf(link), vfs: vfCounters(link) }
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined
    throw error
  }
}

/** Counters of all interfaces of the socket's namespace. */
export function linkTraffic(socket: NetlinkSocket): ReadonlyMap<number, Counted> {
  // With a mask the kernel sizes its buffer so that no interface is left out (rtnl_calcit).
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  return new Map(
    socket.dump(dumpLinks(mask)).flatMap((message) => {
      const link = decodeLink(message)
      const counted = statisticsOf(link)
      return counted === undefined ? [] : [[link.ifi_index, counted] as const]
    }),
  )
}

/**
 * The counters of VFs in the message of their PF, by index. None when all are zero: the kernel writes zeros for a driver that has no
 * such counters (ndo_get_vf_stats).
 */
function vfCounters({ IFLA_VFINFO_LIST: list = [] }: Link): ReadonlyMap<number, Counted> {
  const found = list.flatMap(({ IFLA_VF_MAC: mac, IFLA_VF_STATS: stats }) =>
    mac === undefined || stats === undefined ? [] : [[mac.vf, countedOf(stats)] as const],
  )
  const isSilent = found.every(
    ([, { receive, transmit }]) =>
      receive.packets === 0n && transmit.packets === 0n && (receive.dropped ?? 0n) === 0n,
  )
  return new Map(isSilent ? [] : found)
}

function countedOf(stats: Value<typeof vfStats>): Counted {
  return {
    receive: {
      bytes: stats.IFLA_VF_STATS_RX_BYTES ?? 0n,
      packets: stats.IFLA_VF_STATS_RX_PACKETS ?? 0n,
      dropped: stats.IFLA_VF_STATS_RX_DROPPED,
      broadcast: stats.IFLA_VF_STATS_BROADCAST,
      multicast: stats.IFLA_VF_STATS_MULTICAST,
    },
    transmit: {
      bytes: stats.IFLA_VF_STATS_TX_BYTES ?? 0n,
      packets: stats.IFLA_VF_STATS_TX_PACKETS ?? 0n,
      dropped: stats.IFLA_VF_STATS_TX_DROPPED,
    },
  }
}

/** struct rtnl_link_stats64 of linux/if_link.h; undefined where the message has none. */
function statisticsOf({ IFLA_STATS64: stats }: Link): Counted | undefined {
  if (stats === undefined || stats.length < 72) return undefined
  const view = new DataView(stats.buffer, stats.byteOffset, stats.length)
  const at = (field: number) => view.getBigUint64(8 * field, true)
  return {
    receive: { packets: at(0), bytes: at(2), errors: at(4), dropped: at(6), multicast: at(8) },
    transmit: { packets: at(1), bytes: at(3), errors: at(5), dropped: at(7) },
  }
}
