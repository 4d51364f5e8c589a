/** Counters of the wire: all frames of a port, those that a VF sends or receives too. */
import { ethtoolFamily } from '../../netlink/genl/ethtool.ts'
import { decodeMacCounters, getMacCounters } from '../../netlink/genl/ethtool-stats.ts'
import { decodeFamily, getFamily } from '../../netlink/genl/genl.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { Counted } from '../api/traffic.ts'

/** The number of ethtool's family; undefined for a kernel without it. `socket` is a generic netlink socket. */
export function ethtoolId(socket: NetlinkSocket): number | undefined {
  try {
    const [answer] = socket.request(getFamily(ethtoolFamily)).messages
    return answer === undefined ? undefined : decodeFamily(answer)?.id
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * The counters of those interfaces whose drivers have all four (aFramesReceivedOK, aOctetsReceivedOK and those of sending), by number;
 * of the others nothing. `socket` is a generic netlink socket.
 */
export function wireTraffic(
  socket: NetlinkSocket,
  family: number,
  ifindexes: readonly number[],
): ReadonlyMap<number, Counted> {
  const replies = socket.batch(ifindexes.map((ifindex) => getMacCounters(family, ifindex)))
  return new Map(
    replies.flatMap((reply, at) => {
      // A refusal is a driver or a kernel without such counters, or an interface that is gone.
      const [message] = reply instanceof NetlinkError ? [] : reply.messages
      const counters = message === undefined ? undefined : decodeMacCounters(message)
      if (counters === undefined) return []
      return [[ifindexes[at] ?? 0, { receive: counters.received, transmit: counters.sent }] as const]
    }),
  )
}
