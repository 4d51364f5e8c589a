/** The default routes and global addresses of a namespace. Sockets are of rtnetlink. */

import { type Message, nlmsghdr, parseDatagram } from '../../netlink/message.ts'
import { decodeAddr, dumpAddrs } from '../../netlink/rtnl/addr.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { decodeRoute, dumpRoutes, RT_SCOPE, RT_TABLE, RTN, rtmsg, tableOf } from '../../netlink/rtnl/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { DefaultRoute, InterfaceAddress } from '../api/network-facts.ts'

/** Offset of rtm_dst_len in struct rtmsg. */
const prefixLengthAt = 1

/**
 * All unicast default routes of both families and all tables but `local`, each interface of a route with several next hops by
 * itself. Routes to other destinations are passed over undecoded: a router has a million of them.
 */
export function defaultRoutes(socket: NetlinkSocket): DefaultRoute[] {
  return socket.skim(dumpRoutes(), defaultRoutesIn)
}

/** The default routes among the messages of a datagram. */
function defaultRoutesIn(datagram: Uint8Array): DefaultRoute[] {
  return candidates(datagram).flatMap((message) => {
    const route = decodeRoute(message)
    const table = tableOf(route)
    const family = route.rtm_family === AF.AF_INET ? 4 : route.rtm_family === AF.AF_INET6 ? 6 : undefined
    if (family === undefined || route.rtm_type !== RTN.RTN_UNICAST) return []
    if (table === RT_TABLE.RT_TABLE_LOCAL) return []
    const hops = [route.RTA_OIF, ...(route.RTA_MULTIPATH ?? []).map((hop) => hop.rtnh_ifindex)]
    return [...new Set(hops)].flatMap((ifindex) =>
      ifindex === undefined ? [] : [{ family, ifindex, table }],
    )
  })
}

/** The messages of a datagram with the prefix length 0. */
function candidates(datagram: Uint8Array): Message[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length)
  const found: Message[] = []
  for (let at = 0; at + nlmsghdr.size + rtmsg.size <= datagram.length; ) {
    const length = view.getUint32(at, true)
    if (datagram[at + nlmsghdr.size + prefixLengthAt] === 0)
      // A copy, because the caller's buffer is written again.
      found.push(...parseDatagram(datagram.slice(at, at + length)))
    if (length < nlmsghdr.size) break
    at += (length + 3) & ~3
  }
  return found
}

/** The addresses with global scope of all interfaces. */
export function globalAddresses(socket: NetlinkSocket): InterfaceAddress[] {
  return socket.dump(dumpAddrs()).flatMap((message) => {
    const { ifa_index: ifindex, ifa_scope, IFA_LOCAL, IFA_ADDRESS } = decodeAddr(message)
    const address = IFA_LOCAL ?? IFA_ADDRESS
    return ifa_scope === RT_SCOPE.RT_SCOPE_UNIVERSE && address !== undefined ? [{ ifindex, address }] : []
  })
}
