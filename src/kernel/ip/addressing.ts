/** Reads and changes addresses and routes. */
import { ipFamily, ipFromBytes, ipToBytes, parseCidr, parseIp } from '../../lib/ip.ts'
import type { Message } from '../../netlink/message.ts'
import {
  type Addr,
  type AddrRequest,
  decodeAddr,
  deleteAddr,
  dumpAddrs,
  IFA_F,
  newAddr,
} from '../../netlink/rtnl/addr.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { useNeigh } from '../../netlink/rtnl/neigh.ts'
import {
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  getRoute,
  newRoute,
  type RouteRequest,
  RT_SCOPE,
  RT_TABLE,
  RTN,
  RTNH_F,
  RTPROT,
} from '../../netlink/rtnl/route.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { Outcome, RouteSpec } from '../../ops/op.ts'
import type { AddressFacts, LinkFacts, RouteFacts } from '../api/facts.ts'
import { dumpedAddresses } from '../link/dumped-addresses.ts'
import { findLink } from '../link/links.ts'
import type { OpenSocket } from '../link/sides.ts'
import { atMost, mostDatagrams } from './at-most.ts'

/** Adds or removes an address (CIDR). */
export function changeAddress(
  socket: NetlinkSocket,
  verb: 'add' | 'del',
  ifindex: number,
  address: string,
): void {
  const { ip, prefix } = parseCidr(address)
  const v4 = ipFamily(ip) === 4
  const request: AddrRequest = {
    ifa_family: v4 ? AF.AF_INET : AF.AF_INET6,
    ifa_prefixlen: prefix,
    ifa_index: ifindex,
    IFA_LOCAL: ip,
    IFA_ADDRESS: ip,
    ...(v4 && prefix < 31 ? { IFA_BROADCAST: broadcastOf(ip, prefix) } : {}),
  }
  socket.request(verb === 'add' ? newAddr(request) : deleteAddr(request))
}

/**
 * Adds or removes a route. Where the table has a route with the same destination and metric, that route stays, as with every
 * CNI plugin. The outcome then has `existed`, and a rollback must not remove that route.
 */
export function changeRoute(
  socket: NetlinkSocket,
  verb: 'add' | 'del',
  ifindex: number,
  spec: RouteSpec,
): Outcome {
  const { ip, prefix } = parseCidr(spec.dst)
  const v4 = ipFamily(ip) === 4
  const scope =
    spec.scope ?? (v4 && spec.gw === undefined ? RT_SCOPE.RT_SCOPE_LINK : RT_SCOPE.RT_SCOPE_UNIVERSE)
  const metrics = {
    ...(spec.mtu === undefined ? {} : { RTAX_MTU: spec.mtu }),
    ...(spec.advmss === undefined ? {} : { RTAX_ADVMSS: spec.advmss }),
  }
  const request: RouteRequest = {
    rtm_family: v4 ? AF.AF_INET : AF.AF_INET6,
    rtm_dst_len: prefix,
    // Tables above 255 do not fit the header: the attribute always carries the number.
    rtm_table: RT_TABLE.RT_TABLE_UNSPEC,
    rtm_protocol: RTPROT.RTPROT_BOOT,
    rtm_scope: scope,
    rtm_type: RTN.RTN_UNICAST,
    ...(prefix === 0 ? {} : { RTA_DST: ip }),
    RTA_OIF: ifindex,
    ...(spec.onlink === true ? { rtm_flags: RTNH_F.RTNH_F_ONLINK } : {}),
    ...(spec.gw === undefined ? {} : gateway(parseIp(spec.gw), v4)),
    RTA_TABLE: spec.table ?? RT_TABLE.RT_TABLE_MAIN,
    ...(spec.metric === undefined ? {} : { RTA_PRIORITY: spec.metric }),
    ...(spec.src === undefined ? {} : { RTA_PREFSRC: spec.src }),
    ...(Object.keys(metrics).length === 0 ? {} : { RTA_METRICS: metrics }),
  }
  try {
    socket.request(verb === 'add' ? newRoute(request) : deleteRoute(request))
    return {}
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (verb === 'add' && code === 'EEXIST') return { existed: true }
    throw error
  }
}

/** The gateway attribute: RTA_VIA for a gateway of the other family, RTA_GATEWAY otherwise. */
function gateway(gw: string, v4: boolean): Pick<RouteRequest, 'RTA_GATEWAY' | 'RTA_VIA'> {
  return v4 === (ipFamily(gw) === 4) ? { RTA_GATEWAY: gw } : { RTA_VIA: gw }
}

/** Makes the kernel resolve the MAC of `address` on an interface. Does not wait for the answer. */
export function useNeighbour(socket: NetlinkSocket, ifindex: number, address: string): void {
  const NDA_DST = parseIp(address)
  const ndm_family = ipFamily(address) === 4 ? AF.AF_INET : AF.AF_INET6
  socket.request(useNeigh({ ndm_family, ndm_ifindex: ifindex, NDA_DST }))
}

/** The addresses of one interface, or of all, as facts. */
export function addressesOn(socket: NetlinkSocket, ifindex?: number): AddressFacts[] {
  return dumpedAddresses(socket, ifindex).flatMap(addressFacts)
}

/** Offset of ifa_scope in struct ifaddrmsg. */
const scopeAt = 3

/**
 * The addresses of these families on all interfaces, without those of link scope. The kernel shows one of IPv6 for the host's end of every
 * pod: they are passed over undecoded.
 */
export function nodeAddresses(socket: NetlinkSocket, families: readonly (4 | 6)[]): AddressFacts[] {
  return families.flatMap((family) =>
    socket
      .dump(dumpAddrs({ ifa_family: family === 4 ? AF.AF_INET : AF.AF_INET6 }))
      .filter(({ payload }) => payload[scopeAt] !== RT_SCOPE.RT_SCOPE_LINK)
      .flatMap((message) => addressFacts(decodeAddr(message))),
  )
}

function addressFacts(found: Addr): AddressFacts[] {
  const address = found.IFA_LOCAL ?? found.IFA_ADDRESS
  if (address === undefined) return []
  const { ifa_index, ifa_prefixlen, ifa_scope: scope } = found
  const flags = found.IFA_FLAGS ?? found.ifa_flags
  // IPv6 only: the bit of IFA_F_TEMPORARY is IFA_F_SECONDARY for IPv4, a second address of one subnet.
  const has = (bit: number) => found.ifa_family === AF.AF_INET6 && (flags & bit) !== 0
  return [
    {
      ...{ ifindex: ifa_index, address: `${address}/${ifa_prefixlen}`, scope },
      ...(has(IFA_F.IFA_F_SECONDARY) ? { temporary: true as const } : {}),
      ...(has(IFA_F.IFA_F_DADFAILED) ? { duplicate: true as const } : {}),
    },
  ]
}

/** The interface by which the kernel sends to `address`; undefined when the kernel has no route to `address`. */
export function interfaceTo(socket: NetlinkSocket, address: string): LinkFacts | undefined {
  const v4 = ipFamily(address) === 4
  try {
    const { echo } = socket.request(
      getRoute({
        rtm_family: v4 ? AF.AF_INET : AF.AF_INET6,
        rtm_dst_len: v4 ? 32 : 128,
        RTA_DST: address,
      }),
    )
    const ifindex = echo === undefined ? undefined : decodeRoute(echo).RTA_OIF
    return ifindex === undefined ? undefined : findLink(socket, ifindex)
  } catch (error) {
    if (error instanceof NetlinkError) return undefined
    throw error
  }
}

/**
 * Those of `addresses` (without prefix lengths) that are ready for use: all of IPv4, and the ones of IPv6 whose duplicate
 * address detection is over.
 */
export function settledAddresses(
  socket: NetlinkSocket,
  ifindex: number,
  addresses: readonly string[],
): readonly string[] {
  if (!addresses.some((address) => address.includes(':'))) return addresses
  const unsettled = new Set(
    socket.dump(dumpAddrs({ ifa_family: AF.AF_INET6, ifa_index: ifindex })).flatMap((message) => {
      const { IFA_ADDRESS: address, IFA_FLAGS: flags = 0 } = decodeAddr(message)
      return (flags & IFA_F.IFA_F_TENTATIVE) === 0 || address === undefined ? [] : [address as string]
    }),
  )
  return addresses.filter((address) => !address.includes(':') || !unsettled.has(parseIp(address)))
}

/** Unicast routes of every table and family. */
export function allRoutes(socket: NetlinkSocket): RouteFacts[] {
  return unicastIn(socket.dump(dumpRoutes()))
}

/**
 * Unicast routes of one table, of both families; none where the table does not exist.
 * @throws NetlinkError EOVERFLOW as atMost()
 */
export function routesOfTable(open: OpenSocket, table: number): RouteFacts[] {
  return [AF.AF_INET, AF.AF_INET6].flatMap((rtm_family) => {
    try {
      const found = unicastIn(
        atMost(open, dumpRoutes({ rtm_family, RTA_TABLE: table }), `routes in table ${table}`),
      )
      // A kernel without IPv6, or without strict checking, ignores the request's family and table.
      return found.filter((route) => route.table === table && isOf(route, rtm_family))
    } catch (error) {
      if (error instanceof NetlinkError && error.code === 'ENOENT') return []
      throw error
    }
  })
}

/**
 * True when the main table has a default route of a family by this interface. A table can have any number of other routes. The
 * kernel shows the default route of IPv4 first, so one datagram is enough. The kernel shows the default route of IPv6 last:
 * undefined where more than {@link mostDatagrams} datagrams come before it.
 */
export function hasDefaultRoute(open: OpenSocket, family: 4 | 6, ifindex: number): boolean | undefined {
  const rtm_family = family === 4 ? AF.AF_INET : AF.AF_INET6
  const socket = open()
  try {
    const request = dumpRoutes({ rtm_family, RTA_TABLE: RT_TABLE.RT_TABLE_MAIN, RTA_OIF: ifindex })
    const { found, isWhole } = socket.first(request, family === 4 ? 1 : mostDatagrams)
    const isThere = found.map(decodeRoute).some((route) => {
      const isDefault = route.rtm_dst_len === 0 && route.rtm_type === RTN.RTN_UNICAST
      return isDefault && route.rtm_family === rtm_family && (route.RTA_OIF ?? ifindex) === ifindex
    })
    return !isThere && !isWhole && family === 6 ? undefined : isThere
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENOENT') return false
    throw error
  } finally {
    socket.close()
  }
}

function isOf({ dst }: RouteFacts, family: number): boolean {
  return dst.includes(':') === (family === AF.AF_INET6)
}

function unicastIn(messages: readonly Message[]): RouteFacts[] {
  return messages.flatMap((message) => {
    const found = decodeRoute(message)
    if (found.rtm_type !== RTN.RTN_UNICAST) return []
    const { RTAX_MTU: mtu, RTAX_ADVMSS: advmss } = found.RTA_METRICS ?? {}
    const any = found.rtm_family === AF.AF_INET ? '0.0.0.0' : '::'
    return [
      {
        dst: `${found.RTA_DST ?? any}/${found.rtm_dst_len}`,
        gw: found.RTA_GATEWAY ?? found.RTA_VIA,
        ifindex: found.RTA_OIF,
        table: found.RTA_TABLE ?? found.rtm_table,
        metric: found.RTA_PRIORITY ?? 0,
        ...(found.rtm_scope === RT_SCOPE.RT_SCOPE_UNIVERSE ? {} : { scope: found.rtm_scope }),
        ...(mtu === undefined ? {} : { mtu }),
        ...(advmss === undefined ? {} : { advmss }),
        ...((found.rtm_flags & RTNH_F.RTNH_F_ONLINK) === 0 ? {} : { onlink: true as const }),
      },
    ]
  })
}

function broadcastOf(ip: string, prefix: number): string {
  const bytes = ipToBytes(ip)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4)
  view.setUint32(0, (view.getUint32(0) | (0xffffffff >>> prefix)) >>> 0)
  return ipFromBytes(bytes)
}
