/** Reads the routes that the kernel removes together with an interface or its addresses. */
import { toHex } from '../../lib/hex.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import { decodeNexthop, dumpNexthops } from '../../netlink/rtnl/nexthop.ts'
import {
  decodeRoute,
  dumpRoutes,
  type Route,
  RT_SCOPE,
  RT_TABLE,
  RTM_F,
  RTN,
  RTNH_F,
  RTPROT,
  routeMessage,
  tableOf,
} from '../../netlink/rtnl/route.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { CarriedItem } from '../../ops/op.ts'
import type { CarriedFacts, LinkFacts } from '../api/facts.ts'

/** Ticks per second of the times in RTA_CACHEINFO (USER_HZ). */
const ticks = 100

/**
 * Routes by `link`, and routes by other interfaces whose source is one of the `addresses` of `link`. The latter need a read of all
 * routes of the node, so this function reads them only when `link` has addresses.
 */
export function carriedRoutes(
  socket: NetlinkSocket,
  link: LinkFacts,
  addresses: readonly string[],
): Pick<CarriedFacts, 'items' | 'defaults' | 'shared' | 'sources'> {
  const found = [AF.AF_INET, AF.AF_INET6].flatMap((family) =>
    socket
      .dump(
        dumpRoutes({
          rtm_family: family,
          ...(addresses.length === 0 ? { RTA_OIF: link.ifindex } : {}),
        }),
      )
      .map(decodeRoute)
      // A kernel without IPv6 answers a request for IPv6 with routes of other families.
      .filter(({ rtm_family, rtm_flags }) => rtm_family === family && (rtm_flags & RTM_F.RTM_F_CLONED) === 0),
  )
  const own = found.filter((route) => isBy(route, link.ifindex) && !isKernels(route))
  const isPlain = ({ RTA_MULTIPATH, RTA_NH_ID }: Route) => (RTA_MULTIPATH ?? RTA_NH_ID) === undefined
  const shared = own.filter((route) => !isPlain(route))
  const sources = found.filter(
    (route) =>
      !isBy(route, link.ifindex) &&
      route.rtm_type === RTN.RTN_UNICAST &&
      route.RTA_PREFSRC !== undefined &&
      addresses.includes(route.RTA_PREFSRC),
  )
  const isDefault = ({ rtm_dst_len, rtm_type }: Route) => rtm_dst_len === 0 && rtm_type === RTN.RTN_UNICAST
  const items = [
    // Routes without a gateway come first: the kernel refuses a route whose gateway is not reachable yet.
    ...own.filter((route) => !hasGateway(route)),
    ...own.filter(hasGateway),
  ].filter(isPlain)
  return {
    items: [
      ...items.map((route) => routeItem(route, 0)),
      ...sources.filter(isPlain).map((route) => routeItem(route, route.RTA_OIF ?? 0)),
    ],
    defaults: own.filter(isDefault).map(wordsOf),
    shared: [
      ...shared.map((route) => `the route ${wordsOf(route)}`),
      ...nexthopsOf(socket, link.ifindex).map((id) => `the nexthop object ${id}`),
    ],
    sources: sources.map(wordsOf),
  }
}

/** Nexthop objects by an interface. The kernel removes them together with the interface. */
function nexthopsOf(socket: NetlinkSocket, ifindex: number): number[] {
  return socket
    .dump(dumpNexthops(ifindex))
    .map(decodeNexthop)
    .flatMap((found) => (found.ifindex === ifindex && found.id !== undefined ? [found.id] : []))
}

function isBy({ RTA_OIF, RTA_MULTIPATH }: Route, ifindex: number): boolean {
  return RTA_OIF === ifindex || (RTA_MULTIPATH ?? []).some((hop) => hop.rtnh_ifindex === ifindex)
}

/** True for a route that the kernel makes and removes together with an address or the link. */
function isKernels(route: Route): boolean {
  if (route.rtm_protocol !== RTPROT.RTPROT_KERNEL) return false
  if (route.rtm_type !== RTN.RTN_UNICAST) return true
  return route.RTA_DST === 'fe80::' && route.rtm_dst_len === 64 && tableOf(route) === RT_TABLE.RT_TABLE_MAIN
}

function hasGateway({ RTA_GATEWAY, RTA_VIA }: Route): boolean {
  return (RTA_GATEWAY ?? RTA_VIA) !== undefined
}

function routeItem(route: Route, oif: number): CarriedItem {
  const { RTA_CACHEINFO: cache, ...rest } = route
  const expires = Math.ceil((cache?.rta_expires ?? 0) / ticks)
  const message = routeMessage.encode({
    ...rest,
    rtm_flags: route.rtm_flags & RTNH_F.RTNH_F_ONLINK,
    RTA_OIF: oif,
    ...(expires > 0 ? { RTA_EXPIRES: expires } : {}),
  })
  return {
    what: 'route',
    words: oif === 0 ? wordsOf(route) : `${wordsOf(route)} dev #${oif}`,
    message: toHex(message),
  }
}

/** The route as `ip route` prints it, without the interface. */
function wordsOf(route: Route): string {
  const { RTA_METRICS: metrics, RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH, RTA_NH_ID } = route
  const any = route.rtm_family === AF.AF_INET ? '0.0.0.0' : '::'
  const type = Object.entries(RTN).find(([, value]) => value === route.rtm_type)?.[0] ?? ''
  const gateway = RTA_GATEWAY ?? RTA_VIA
  const words = [
    ...(route.rtm_type === RTN.RTN_UNICAST ? [] : [type.slice('RTN_'.length).toLowerCase()]),
    `${route.RTA_DST ?? any}/${route.rtm_dst_len}`,
    ...(route.RTA_SRC === undefined ? [] : [`from ${route.RTA_SRC}/${route.rtm_src_len}`]),
    ...(gateway === undefined ? [] : [`via ${gateway}`]),
    ...(RTA_MULTIPATH === undefined ? [] : ['of several interfaces']),
    ...(RTA_NH_ID === undefined ? [] : [`nhid ${RTA_NH_ID}`]),
    ...(tableOf(route) === RT_TABLE.RT_TABLE_MAIN ? [] : [`table ${tableOf(route)}`]),
    `proto ${route.rtm_protocol}`,
    ...(route.rtm_scope === RT_SCOPE.RT_SCOPE_UNIVERSE ? [] : [`scope ${route.rtm_scope}`]),
    ...(route.rtm_tos === 0 ? [] : [`tos ${route.rtm_tos}`]),
    ...(route.RTA_PREFSRC === undefined ? [] : [`src ${route.RTA_PREFSRC}`]),
    ...(route.RTA_PRIORITY === undefined ? [] : [`metric ${route.RTA_PRIORITY}`]),
    ...((route.rtm_flags & RTNH_F.RTNH_F_ONLINK) === 0 ? [] : ['onlink']),
    ...(metrics === undefined ? [] : Object.entries(metrics).map(([key, value]) => `${key} ${value}`)),
  ]
  return words.join(' ')
}
