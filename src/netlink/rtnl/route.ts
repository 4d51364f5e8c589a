// Routes: RTM_*ROUTE, struct rtmsg and RTA_* of linux/rtnetlink.h.
import { ipFromBytes, ipToBytes } from '../../lib/ip.ts'
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { type StructOf, struct } from '../codec/struct.ts'
import {
  Base,
  be16,
  bytes,
  type Codec,
  cstr,
  ip,
  type Piece,
  s32,
  u8,
  u16,
  u32,
  type Value,
  type Writer,
} from '../codec/wire.ts'
import { type FamilyRequest, family, type Message, NLM_F, type Request } from '../message.ts'
import { AF, RTM } from './const.ts'

/** struct rtmsg, linux/rtnetlink.h. A table above 255 is in RTA_TABLE, and rtm_table is RT_TABLE_COMPAT. */
export const rtmsg = struct('rtmsg', [
  ['rtm_family', u8],
  ['rtm_dst_len', u8],
  ['rtm_src_len', u8],
  ['rtm_tos', u8],
  ['rtm_table', u8],
  ['rtm_protocol', u8],
  ['rtm_scope', u8],
  ['rtm_type', u8],
  ['rtm_flags', u32],
])

/** RT_TABLE_* of linux/rtnetlink.h, as all numbers here: the routing tables. */
export const RT_TABLE = {
  RT_TABLE_UNSPEC: 0,
  RT_TABLE_COMPAT: 252,
  RT_TABLE_DEFAULT: 253,
  RT_TABLE_MAIN: 254,
  RT_TABLE_LOCAL: 255,
} as const
/** RTPROT_*: the maker of a route. */
export const RTPROT = {
  RTPROT_UNSPEC: 0,
  RTPROT_REDIRECT: 1,
  RTPROT_KERNEL: 2,
  RTPROT_BOOT: 3,
  RTPROT_STATIC: 4,
  RTPROT_RA: 9,
} as const
/** RT_SCOPE_*: the distance to the destination. */
export const RT_SCOPE = {
  RT_SCOPE_UNIVERSE: 0,
  RT_SCOPE_SITE: 200,
  RT_SCOPE_LINK: 253,
  RT_SCOPE_HOST: 254,
  RT_SCOPE_NOWHERE: 255,
} as const
/** RTN_*: the type of a route. */
export const RTN = {
  RTN_UNSPEC: 0,
  RTN_UNICAST: 1,
  RTN_LOCAL: 2,
  RTN_BROADCAST: 3,
  RTN_ANYCAST: 4,
  RTN_MULTICAST: 5,
  RTN_BLACKHOLE: 6,
  RTN_UNREACHABLE: 7,
  RTN_PROHIBIT: 8,
  RTN_THROW: 9,
} as const
/** RTM_F_CLONED of linux/rtnetlink.h, in rtm_flags: the kernel's memory of a path, not a route. */
export const RTM_F = { RTM_F_CLONED: 0x200 } as const
/** RTNH_F_*: flags of a next hop. */
export const RTNH_F = { RTNH_F_DEAD: 1, RTNH_F_ONLINK: 4, RTNH_F_OFFLOAD: 8, RTNH_F_LINKDOWN: 16 } as const

/** RTAX_* of linux/rtnetlink.h: RTA_METRICS. */
export const metrics = attrs('RTAX', () => ({
  RTAX_LOCK: [1, u32],
  RTAX_MTU: [2, u32],
  RTAX_WINDOW: [3, u32],
  RTAX_RTT: [4, u32],
  RTAX_RTTVAR: [5, u32],
  RTAX_SSTHRESH: [6, u32],
  RTAX_CWND: [7, u32],
  RTAX_ADVMSS: [8, u32],
  RTAX_REORDERING: [9, u32],
  RTAX_HOPLIMIT: [10, u32],
  RTAX_INITCWND: [11, u32],
  RTAX_FEATURES: [12, u32],
  RTAX_RTO_MIN: [13, u32],
  RTAX_INITRWND: [14, u32],
  RTAX_QUICKACK: [15, u32],
  RTAX_CC_ALGO: [16, cstr(16)],
  RTAX_FASTOPEN_NO_COOKIE: [17, u32],
}))

/** struct rta_cacheinfo, linux/rtnetlink.h */
export const rta_cacheinfo = struct('rta_cacheinfo', [
  ['rta_clntref', u32],
  ['rta_lastuse', u32],
  ['rta_expires', s32],
  ['rta_error', u32],
  ['rta_used', u32],
  ['rta_id', u32],
  ['rta_ts', u32],
  ['rta_tsage', u32],
])

/** struct rtvia, linux/rtnetlink.h: a gateway of the other family. */
class Via extends Base<string> {
  readonly kind = 'rtvia'

  write(out: Writer, value: string): void {
    const address = ipToBytes(value)
    u16.write(out, address.length === 4 ? 2 : 10)
    out.put(address)
  }

  read(from: Uint8Array, at: number, end: number): string {
    const size = end - at - 2
    const family = size < 0 ? 0 : u16.read(from, at, at + 2)
    if (family !== (size === 4 ? 2 : 10))
      throw new RangeError(`Cannot decode rtvia: family ${family} with ${size} bytes`)
    return ipFromBytes(from, at + 2, size)
  }
}

/** struct rtnexthop, linux/rtnetlink.h; the codec handles rtnh_len. rtnh_hops is the weight minus 1. */
export const rtnexthop = struct('rtnexthop', [
  ['rtnh_len', u16],
  ['rtnh_flags', u8],
  ['rtnh_hops', u8],
  ['rtnh_ifindex', s32],
])

const via: Codec<string> = new Via()

/** The attributes of one next hop. */
const hop = attrs('RTA', () => ({
  RTA_GATEWAY: [5, ip],
  RTA_FLOW: [11, u32],
  RTA_VIA: [18, via],
  RTA_NEWDST: [19, bytes()],
  RTA_ENCAP_TYPE: [21, u16],
  RTA_ENCAP: [22, bytes()],
}))
export type Hop = Omit<StructOf<(typeof rtnexthop)['fields']>, '#tail' | 'rtnh_len'> &
  AttrsOf<(typeof hop)['table']>

/** RTA_MULTIPATH: struct rtnexthop with attributes, one after the other. */
class Hops extends Base<readonly Hop[]> {
  readonly kind = 'rtnexthop[]'

  write(out: Writer, value: readonly Hop[]): void {
    for (const element of value) {
      const start = out.at
      rtnexthop.writeFields(out, { ...element, rtnh_len: 0 }, false)
      hop.writeExcept(out, element, hopFields)
      out.u16(start, out.at - start)
    }
  }

  read(from: Uint8Array, at: number, end: number): readonly Hop[] {
    const value: Hop[] = []
    for (let next = at; next < end; ) {
      const stop = hopEnd(from, next, end)
      const element: Record<string, unknown> = {}
      rtnexthop.readInto(element, from, next, stop)
      delete element.rtnh_len
      hop.readInto(element, from, next + rtnexthop.size, stop)
      value.push(element as unknown as Hop)
      next = at + ((stop - at + 3) & ~3)
    }
    return value
  }

  pieces(from: Uint8Array, at: number, end: number): readonly Piece[] {
    const parts: Piece[] = []
    for (let next = at; next < end; ) {
      const stop = hopEnd(from, next, end)
      parts.push([rtnexthop, next, next + rtnexthop.size], [hop, next + rtnexthop.size, stop])
      next = at + ((stop - at + 3) & ~3)
    }
    return parts
  }
}

/** The end of the next hop that begins at `at`. */
function hopEnd(from: Uint8Array, at: number, end: number): number {
  const length = end - at < rtnexthop.size ? 0 : u16.read(from, at, at + 2)
  if (length < rtnexthop.size || length > end - at) {
    throw new RangeError(`Cannot decode rtnexthop: it says ${length} bytes, ${end - at} are there`)
  }
  return at + length
}

const hopFields: ReadonlySet<string> = new Set(rtnexthop.fields.map(([name]) => name))

/** RTA_* of linux/rtnetlink.h; types from rtm_ipv4_policy, net/ipv4/fib_frontend.c, and rtm_ipv6_policy, net/ipv6/route.c. */
export const route = attrs('RTA', () => ({
  RTA_DST: [1, ip],
  RTA_SRC: [2, ip],
  RTA_IIF: [3, u32],
  RTA_OIF: [4, u32],
  RTA_GATEWAY: [5, ip],
  RTA_PRIORITY: [6, u32],
  RTA_PREFSRC: [7, ip],
  RTA_METRICS: [8, metrics, 'noflag'],
  RTA_MULTIPATH: [9, new Hops() as Codec<readonly Hop[]>],
  RTA_FLOW: [11, u32],
  RTA_CACHEINFO: [12, rta_cacheinfo],
  RTA_TABLE: [15, u32],
  RTA_MARK: [16, u32],
  RTA_VIA: [18, via],
  RTA_PREF: [20, u8],
  RTA_ENCAP_TYPE: [21, u16],
  RTA_ENCAP: [22, bytes()],
  RTA_EXPIRES: [23, u32],
  RTA_UID: [25, u32],
  RTA_TTL_PROPAGATE: [26, u8],
  RTA_IP_PROTO: [27, u8],
  RTA_SPORT: [28, be16],
  RTA_DPORT: [29, be16],
  RTA_NH_ID: [30, u32],
}))
export type RouteAttributes = AttrsOf<(typeof route)['table']>

/** The payload of RTM_*ROUTE. */
export const routeMessage = family(rtmsg, route)
export type Route = Value<typeof routeMessage>
export type RouteRequest = FamilyRequest<(typeof rtmsg)['fields'], (typeof route)['table']>

/** Adds a route; EEXIST if there is a route to the same destination with the same priority. */
export function newRoute(value: RouteRequest): Request {
  return routeMessage.request('RTM_NEWROUTE', RTM.RTM_NEWROUTE, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, value)
}

/**
 * Adds a route beside those to the same destination with the same priority, for IPv4 behind them; EEXIST if the same route is there.
 * `replaces` puts the route in the place of the first of them.
 */
export function putRoute(value: RouteRequest, replaces: boolean): Request {
  // IPv6 would take APPEND for another hop of an existing route.
  const append = value.rtm_family === AF.AF_INET ? NLM_F.NLM_F_APPEND : 0
  const flags = NLM_F.NLM_F_CREATE | (replaces ? NLM_F.NLM_F_REPLACE : append)
  return routeMessage.request('RTM_NEWROUTE', RTM.RTM_NEWROUTE, flags, value)
}

/** Removes the first route that agrees with the given fields; ESRCH if none does. */
export function deleteRoute(value: RouteRequest): Request {
  return routeMessage.request('RTM_DELROUTE', RTM.RTM_DELROUTE, 0, value)
}

/** For dump(): all routes; with strict checking those that agree with rtm_family, rtm_table or RTA_TABLE, rtm_protocol, RTA_OIF. */
export function dumpRoutes(filter: RouteRequest = {}): Request {
  return routeMessage.request('RTM_GETROUTE', RTM.RTM_GETROUTE, 0, filter)
}

/** Asks for the route of a packet: needs at least rtm_family, and RTA_DST with its length. The reply's first message is the route. */
export function getRoute(value: RouteRequest): Request {
  return routeMessage.request('RTM_GETROUTE', RTM.RTM_GETROUTE, 0, value)
}

/** The route in a message of RTM_NEWROUTE. */
export function decodeRoute(message: Message): Route {
  return routeMessage.decode(message.payload)
}

/** The routing table of a route: RTA_TABLE, or rtm_table from a kernel without RTA_TABLE. */
export function tableOf(value: Route): number {
  return value.RTA_TABLE ?? value.rtm_table
}
