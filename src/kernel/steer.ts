/** Steering filters: flower on clsact ingress, MAC rewrite, redirect. Offload is tried first and its refusal kept. */
import { fromHex, toHex } from '../lib/hex.ts'
import { type Cidr, ipFamily, networkOf, parseCidr, parseIp } from '../lib/ip.ts'
import { PortTaken } from '../lib/port-taken.ts'
import type { Message } from '../netlink/message.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import { NetlinkError } from '../netlink/socket.ts'
import {
  type Action,
  actionList,
  limitByIndex,
  popVlan,
  pushVlan,
  redirectTo,
  rewrite,
  updateChecksums,
} from '../netlink/tc/action.ts'
import { TCA_CSUM_UPDATE_FLAG } from '../netlink/tc/csum.ts'
import { compareEcho } from '../netlink/tc/echo.ts'
import {
  actionsOf,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  type FilterPlace,
  flowerOf,
  isInHardware,
  newFlower,
  placeOf,
} from '../netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS } from '../netlink/tc/flower.ts'
import { TC_ACT } from '../netlink/tc/gact.ts'
import { CLSACT_EGRESS, CLSACT_INGRESS, filterInfo, type Tc } from '../netlink/tc/msg.ts'
import { peditRewrite, type Rewrite } from '../netlink/tc/pedit.ts'
import { decodeQdisc, deleteClsact, dumpQdiscs, newClsact } from '../netlink/tc/qdisc.ts'
import { ETH_P, IPPROTO } from '../netlink/tc/rule.ts'
import { countersOf } from '../netlink/tc/stats.ts'
import type { Offload, Outcome, Proto, SteerSpec } from '../ops/op.ts'
import type { OwnFilter } from './kernel.ts'
import { EchoMismatch, offered } from './refusals.ts'

/**
 * Adds a steering filter. `prefer` asks for skip_sw first and falls back to skip_hw with the driver's words; `require`
 * has no fallback. The kernel's echo must be what was asked for, and with skip_sw say in_hw.
 */
export function addSteer(socket: NetlinkSocket, ifindex: number, spec: SteerSpec, offload: Offload): Outcome {
  return offered(offload, (inHardware) => add(socket, ifindex, spec, inHardware))
}

/** Removes the filter with the key of `spec` and its cookie; used to take back an addition. Fine when it is gone. */
export function removeSteer(socket: NetlinkSocket, ifindex: number, spec: SteerSpec): void {
  // A dump can lose entries, so one that does not show the filter proves nothing.
  for (let look = 0; look < 2; look++) {
    const found = filtersWithKey(socket, ifindex, spec).find((filter) => cookieOf(filter) === spec.cookie)
    if (found === undefined) continue
    socket.request(deleteFilter(placeOf(found), 'flower'))
    return
  }
}

/** Filters that match what `spec` matches, at its priority. */
function filtersWithKey(socket: NetlinkSocket, ifindex: number, spec: SteerSpec): Tc[] {
  // Behind a VLAN tag the kernel shows the inner EtherType; the slot's protocol is the outer one.
  const { TCA_FLOWER_KEY_ETH_TYPE: protocol, ...wanted } = steerKey(spec)
  return socket
    .dump(dumpFilters(ifindex))
    .map(decodeFilter)
    .filter((filter) => {
      const [place, found] = [placeOf(filter), flowerOf(filter)]
      if (found === undefined || place.priority !== spec.prio || place.protocol !== protocol) return false
      return Object.entries(wanted).every(([key, value]) => found[key as keyof Flower] === value)
    })
}

/** Who has the key of a filter that the kernel refused for it (EEXIST). */
function takenBy(socket: NetlinkSocket, ifindex: number, spec: SteerSpec): PortTaken | undefined {
  const [other] = filtersWithKey(socket, ifindex, spec)
  if (other === undefined) return undefined
  const cookie = cookieOf(other)
  const whose = cookie === undefined ? 'that is not of a mapping' : `with cookie ${cookie}`
  return new PortTaken(spec, `a filter of priority ${spec.prio} on "${spec.link}" ${whose}`, cookie)
}

/** Our filters on every clsact or ingress qdisc of the namespace, by the beginning of their cookie, or several of them. */
export function findOwnFilters(socket: NetlinkSocket, cookiePrefix: string | readonly string[]): OwnFilter[] {
  const prefixes = typeof cookiePrefix === 'string' ? [cookiePrefix] : cookiePrefix
  const seen = new Map<string, OwnFilter>()
  for (const ifindex of ingressDevices(socket)) {
    for (const message of socket.dump(dumpFilters(ifindex))) {
      const filter = decodeFilter(message)
      const cookie = cookieOf(filter)
      if (cookie === undefined || !prefixes.some((prefix) => cookie.startsWith(prefix))) continue
      const kind = filter.TCA_KIND === 'matchall' ? 'matchall' : 'flower'
      const { priority: prio, handle, protocol } = placeOf(filter)
      const stats = actionsOf(filter)[0]?.TCA_ACT_STATS
      const packets = stats === undefined ? 0n : countersOf(stats).all.packets
      // A dump that filters change under can also show one twice.
      seen.set(`${ifindex} ${prio} ${handle}`, {
        ifindex,
        prio,
        handle,
        protocol,
        kind,
        cookie,
        packets,
        inHw: isInHardware(filter),
      })
    }
  }
  return [...seen.values()]
}

/** Deletes one filter that a dump showed; one that is gone, with its qdisc or its interface, is fine. */
export function deleteOwnFilter(socket: NetlinkSocket, filter: OwnFilter): void {
  const { ifindex, prio: priority, handle, protocol, kind } = filter
  try {
    socket.request(deleteFilter({ ifindex, priority, handle, protocol }, kind))
  } catch (error) {
    const code = error instanceof NetlinkError ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'EINVAL' && code !== 'ENODEV') throw error
  }
}

/** True when the interface has a clsact or ingress qdisc. */
export function hasIngress(socket: NetlinkSocket, ifindex: number): boolean {
  return ingressDevices(socket).includes(ifindex)
}

/** Adds clsact; one that is there, or an `ingress` qdisc in its place, serves as well. */
export function addClsact(socket: NetlinkSocket, ifindex: number): void {
  try {
    socket.request(newClsact(ifindex))
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
  }
}

/** Removes clsact if no filter is on either of its sides; two dumps must agree, because one can lose entries. */
export function dropEmptyClsact(socket: NetlinkSocket, ifindex: number): void {
  const sides = [CLSACT_INGRESS, CLSACT_EGRESS]
  for (let look = 0; look < 2; look++) {
    for (const parent of sides) {
      if (!hasIngress(socket, ifindex)) return
      if (socket.dump(dumpFilters(ifindex, { parent })).length > 0) return
    }
  }
  socket.request(deleteClsact(ifindex))
}

/** Where the filter of `spec` is, or with its handle: which one it is. */
export function steerPlace(ifindex: number, spec: SteerSpec, handle?: number): FilterPlace {
  const place = { ifindex, priority: spec.prio, protocol: etherTypeOf(spec) }
  return handle === undefined ? place : { ...place, handle }
}

/** What of a filter of the kernel's is not as `spec` wants it: keys, actions with every byte of a rewrite, cookies, flags. */
export function steerDifferences(
  ifindex: number,
  spec: SteerSpec,
  inHardware: boolean,
  stored: Tc,
): string[] {
  const asked = {
    tcm_ifindex: ifindex,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(spec.prio, etherTypeOf(spec)),
    TCA_KIND: 'flower',
    TCA_OPTIONS: steerOptions(ifindex, spec, inHardware),
  }
  const differences = compareEcho(asked, stored)
  if (inHardware && !isInHardware(stored)) differences.push('in_hw: missing')
  return differences
}

function steerOptions(ifindex: number, spec: SteerSpec, inHardware: boolean): Flower {
  const { TCA_CLS_FLAGS_SKIP_HW: skipHw, TCA_CLS_FLAGS_SKIP_SW: skipSw } = TCA_CLS_FLAGS
  return {
    ...steerKey(spec),
    TCA_FLOWER_ACT: actionList(actionsFor(spec, ifindex)),
    TCA_FLOWER_FLAGS: inHardware ? skipSw : skipHw,
  }
}

function add(socket: NetlinkSocket, ifindex: number, spec: SteerSpec, inHardware: boolean): number {
  const echo = send(socket, ifindex, spec, inHardware)
  if (echo === undefined) throw new EchoMismatch(['no echo'])
  const stored = decodeFilter(echo)
  const differences = steerDifferences(ifindex, spec, inHardware, stored)
  if (differences.length > 0) {
    socket.request(deleteFilter(placeOf(stored), 'flower'))
    throw new EchoMismatch(differences)
  }
  return stored.tcm_handle
}

/** Returns the kernel's echo. */
function send(
  socket: NetlinkSocket,
  ifindex: number,
  spec: SteerSpec,
  inHardware: boolean,
): Message | undefined {
  try {
    return socket.request(newFlower(steerPlace(ifindex, spec), steerOptions(ifindex, spec, inHardware))).echo
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error
    throw takenBy(socket, ifindex, spec) ?? error
  }
}

/** In the order in which drivers take them: tag off, rewrite, sums, tag on, out. */
function actionsFor(spec: SteerSpec, ifindex: number): Action[] {
  const cookie = fromHex(spec.cookie)
  const actions: Action[] = []
  if (spec.pop === true) actions.push(popVlan(cookie))
  const { dstMac, srcMac, to } = spec
  const proto = spec.proto === 'tcp' ? 6 : 17
  const ports =
    spec.side === 'src'
      ? { ipSrc: to?.address, portSrc: to?.port }
      : { ipDst: to?.address, portDst: to?.port }
  if (dstMac !== undefined || srcMac !== undefined || to !== undefined) {
    const words: Rewrite = {
      ...(dstMac === undefined ? {} : { ethDst: dstMac }),
      ...(srcMac === undefined ? {} : { ethSrc: srcMac }),
      ...(to === undefined ? {} : ({ ...ports, proto } as Rewrite)),
    }
    actions.push(rewrite(peditRewrite(words, TC_ACT.TC_ACT_PIPE), cookie))
  }
  if (to !== undefined) {
    const { TCA_CSUM_UPDATE_FLAG_IPV4HDR: header, ...flags } = TCA_CSUM_UPDATE_FLAG
    const transport = spec.proto === 'tcp' ? flags.TCA_CSUM_UPDATE_FLAG_TCP : flags.TCA_CSUM_UPDATE_FLAG_UDP
    actions.push(updateChecksums(ipFamily(spec.address) === 4 ? header | transport : transport, cookie))
  }
  // Without a cookie: a shared action would take it for its own.
  if (spec.limiter !== undefined) actions.push(limitByIndex(spec.limiter))
  if (spec.push !== undefined) actions.push(pushVlan(spec.push, cookie))
  actions.push(redirectTo(spec.out?.ifindex ?? ifindex, cookie))
  return actions
}

/** One mask shape per family for the life of the program: only then the kernel refuses equal keys (EEXIST). */
export function steerKey(spec: SteerSpec): Flower {
  const v4 = ipFamily(spec.address) === 4
  const network = v4 ? ETH_P.ETH_P_IP : ETH_P.ETH_P_IPV6
  const isSource = spec.side === 'src'
  const [own, other] = isSource ? (['SRC', 'DST'] as const) : (['DST', 'SRC'] as const)
  const family = v4 ? 'IPV4' : 'IPV6'
  const peer = spec.peer === undefined ? undefined : networkOf(parseCidr(spec.peer))
  const proto = spec.proto.toUpperCase() as Uppercase<Proto>
  return {
    TCA_FLOWER_KEY_ETH_TYPE: etherTypeOf(spec),
    ...(spec.vlan === undefined
      ? {}
      : { TCA_FLOWER_KEY_VLAN_ID: spec.vlan, TCA_FLOWER_KEY_VLAN_ETH_TYPE: network }),
    TCA_FLOWER_KEY_IP_PROTO: IPPROTO[`IPPROTO_${proto}`],
    [`TCA_FLOWER_KEY_${family}_${own}`]: spec.address,
    ...(peer === undefined
      ? {}
      : {
          [`TCA_FLOWER_KEY_${family}_${other}`]: peer.ip,
          [`TCA_FLOWER_KEY_${family}_${other}_MASK`]: maskOf(peer),
        }),
    [`TCA_FLOWER_KEY_${proto}_${own}`]: spec.port,
  }
}

function maskOf({ ip, prefix }: Cidr): string {
  const all = parseIp(ipFamily(ip) === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')
  return networkOf({ ip: all, prefix }).ip
}

function etherTypeOf(spec: SteerSpec): number {
  if (spec.vlan !== undefined) return ETH_P.ETH_P_8021Q
  return ipFamily(spec.address) === 4 ? ETH_P.ETH_P_IP : ETH_P.ETH_P_IPV6
}

function cookieOf(filter: Tc): string | undefined {
  // The last one: a policer that filters share has a cookie of its own.
  const cookie = actionsOf(filter).findLast((action) => action.TCA_ACT_COOKIE !== undefined)?.TCA_ACT_COOKIE
  return cookie === undefined ? undefined : toHex(cookie)
}

function ingressDevices(socket: NetlinkSocket): number[] {
  return socket.dump(dumpQdiscs()).flatMap((message) => {
    const qdisc = decodeQdisc(message)
    return qdisc.TCA_KIND === 'clsact' || qdisc.TCA_KIND === 'ingress' ? [qdisc.tcm_ifindex] : []
  })
}
