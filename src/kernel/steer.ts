/** Steering filters: flower on clsact ingress, MAC rewrite, redirect. Offload is tried first and its refusal kept. */
import { PortTaken } from '../lib/port-taken.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../netlink/socket.ts'
import {
  actionsOf,
  decodeFilter,
  deleteFilter,
  deleteSlot,
  dumpFilters,
  type FilterPlace,
  flowerOf,
  isInHardware,
  newFlower,
  placeOf,
} from '../netlink/tc/filter.ts'
import type { Flower } from '../netlink/tc/flower.ts'
import { CLSACT_EGRESS, CLSACT_INGRESS, type Tc } from '../netlink/tc/msg.ts'
import { decodeQdisc, deleteClsact, dumpQdiscs, newClsact } from '../netlink/tc/qdisc.ts'
import { countersOf } from '../netlink/tc/stats.ts'
import type { Offload, Outcome, SteerSpec } from '../ops/op.ts'
import type { OwnFilter } from './kernel.ts'
import { EchoMismatch, offered, unseenFilter } from './refusals.ts'
import { kindOf, leavesSlot } from './shown-filters.ts'
import { cookieOf, steerDifferences, steerKey, steerOptions, steerPlace } from './steer-filter.ts'

/** A filter that is wanted, or to be taken back: then with its number, where that is known. */
export interface Steer {
  readonly ifindex: number
  readonly spec: SteerSpec
  readonly handle?: number
}

/** One that is wanted, in the NIC or not. */
export interface WantedSteer extends Steer {
  readonly offload: Offload
}

/**
 * Adds steering filters, in order and in few datagrams: the outcome of each, or why there is none. `prefer` asks for skip_sw
 * and, when all have had that try, falls back to skip_hw with the driver's words; `require` has no fallback. The kernel's
 * echo must be what was asked for, and with skip_sw say in_hw.
 */
export function addSteers(socket: NetlinkSocket, wanted: readonly WantedSteer[]): (Outcome | Error)[] {
  const isAsked = ({ offload }: WantedSteer) => offload !== 'off'
  const first = addAll(
    socket,
    wanted.map((steer) => ({ ...steer, inHardware: isAsked(steer) })),
  )
  return wanted.map((steer, at) => {
    const handle = (inHardware: boolean) =>
      succeeded(inHardware === isAsked(steer) ? first[at] : addAll(socket, [{ ...steer, inHardware }])[0])
    return settled(() => offered(steer.offload, handle))
  })
}

/** Of a filter that is to go: it is gone, its interface is, its qdisc. */
const gone: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'EINVAL'])

/**
 * Removes filters by their numbers or, without one, by key and cookie, in few datagrams; used to take back additions. Fine
 * when one is gone, also with its qdisc or interface; an error in its place says why one is still there.
 */
export function removeSteers(socket: NetlinkSocket, steers: readonly Steer[]): (Outcome | Error)[] {
  const found = new Map<Steer, FilterPlace>()
  for (const steer of steers) {
    const { ifindex, spec, handle } = steer
    if (handle !== undefined) found.set(steer, steerPlace(ifindex, spec, handle))
  }
  // A dump can lose entries, so one that does not show a filter proves nothing.
  for (let look = 0; look < 2; look++) {
    const filtersWithKey = lookAt(socket)
    for (const steer of steers) {
      if (found.has(steer)) continue
      const own = filtersWithKey(steer).find((filter) => cookieOf(filter) === steer.spec.cookie)
      if (own !== undefined) found.set(steer, placeOf(own))
    }
  }
  const replies = socket.batch([...found.values()].map((place) => deleteFilter(place, 'flower')))
  const refusals = new Map([...found.keys()].map((steer, at) => [steer, replies[at]]))
  return steers.map((steer) => {
    const reply = refusals.get(steer)
    return reply instanceof NetlinkError && !gone.has(reply.code) ? reply : {}
  })
}

/** Filters that match what a wanted one matches, at its priority. Each interface is looked at once, when it is asked for. */
function lookAt(socket: NetlinkSocket): (steer: Steer) => Tc[] {
  const shown = new Map<number, Tc[]>()
  return ({ ifindex, spec }) => {
    const filters = shown.get(ifindex) ?? socket.dump(dumpFilters(ifindex)).map(decodeFilter)
    shown.set(ifindex, filters)
    // Behind a VLAN tag the kernel shows the inner EtherType; the slot's protocol is the outer one.
    const { TCA_FLOWER_KEY_ETH_TYPE: protocol, ...wanted } = steerKey(spec)
    const keys = Object.entries(wanted)
    const conditions = new Set(Object.keys(wanted))
    return filters.filter((filter) => {
      const [place, found] = [placeOf(filter), flowerOf(filter)]
      if (found === undefined || place.priority !== spec.prio || place.protocol !== protocol) return false
      // One with more conditions is another filter, whatever it has in common with this one.
      const isSame = Object.keys(found).every((key) => !isCondition(key) || conditions.has(key))
      return isSame && keys.every(([key, value]) => found[key as keyof Flower] === value)
    })
  }
}

/** The EtherType is not compared: see above. Of a mask the kernel shows also what nobody gave it. */
function isCondition(name: string): boolean {
  return name.startsWith('TCA_FLOWER_KEY_') && name !== 'TCA_FLOWER_KEY_ETH_TYPE' && !name.endsWith('_MASK')
}

/** Who has the key of a filter that the kernel refused for it (EEXIST). */
function takenBy(spec: SteerSpec, other: Tc): PortTaken {
  const cookie = cookieOf(other)
  const whose = cookie === undefined ? 'that is not of a mapping' : `with cookie ${cookie}`
  return new PortTaken(spec, `a filter of priority ${spec.prio} on "${spec.link}" ${whose}`, cookie)
}

/** Our filters on every clsact or ingress qdisc of the namespace, by the beginning of their cookie, or several of them. */
export function findOwnFilters(socket: NetlinkSocket, cookiePrefix: string | readonly string[]): OwnFilter[] {
  const prefixes = typeof cookiePrefix === 'string' ? [cookiePrefix] : cookiePrefix
  const seen = new Map<string, OwnFilter>()
  for (const ifindex of ingressDevices(socket)) {
    const dump = socket.dump(dumpFilters(ifindex)).map(decodeFilter)
    for (const filter of dump) {
      const cookie = cookieOf(filter)
      if (cookie === undefined || !prefixes.some((prefix) => cookie.startsWith(prefix))) continue
      const { priority: prio, handle, protocol } = placeOf(filter)
      const stats = actionsOf(filter)[0]?.TCA_ACT_STATS
      const packets = stats === undefined ? 0n : countersOf(stats).all.packets
      // A dump that filters change under can also show one twice.
      seen.set(`${ifindex} ${prio} ${handle}`, {
        ifindex,
        prio,
        handle,
        protocol,
        kind: kindOf(filter),
        ...(leavesSlot(filter, dump) ? { withSlot: true } : {}),
        cookie,
        packets,
        inHw: isInHardware(filter),
      })
    }
  }
  return [...seen.values()]
}

/** Deletes filters that a dump showed, in few datagrams; one that is gone, with its qdisc or its interface, is fine. */
export function deleteOwnFilters(socket: NetlinkSocket, filters: readonly OwnFilter[]): void {
  const requests = filters.map(({ ifindex, prio: priority, handle, protocol, kind, withSlot = false }) => {
    const place = { ifindex, priority, handle, protocol }
    return withSlot ? deleteSlot(place, kind) : deleteFilter(place, kind)
  })
  for (const reply of socket.batch(requests)) {
    if (reply instanceof NetlinkError && !gone.has(reply.code)) throw reply
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

/** The handle of each filter, or why it is not there. */
function addAll(
  socket: NetlinkSocket,
  wanted: readonly (Steer & { readonly inHardware: boolean })[],
): (number | Error)[] {
  const replies = socket.batch(
    wanted.map(({ ifindex, spec, inHardware }) =>
      newFlower(steerPlace(ifindex, spec), steerOptions(ifindex, spec, inHardware)),
    ),
  )
  const filtersWithKey = lookAt(socket)
  return wanted.map((steer, at) =>
    settled(() => {
      const reply = replies[at]
      if (reply instanceof NetlinkError && reply.code === 'EEXIST') {
        const [other] = filtersWithKey(steer)
        throw other === undefined ? reply : takenBy(steer.spec, other)
      }
      return handleOf(socket, steer, succeeded(reply))
    }),
  )
}

/** @throws EchoMismatch when the kernel has stored another filter, which is taken away */
function handleOf(
  socket: NetlinkSocket,
  { ifindex, spec, inHardware }: Steer & { readonly inHardware: boolean },
  { echo }: Reply,
): number {
  if (echo === undefined) throw unseenFilter()
  const stored = decodeFilter(echo)
  const differences = steerDifferences(ifindex, spec, inHardware, stored)
  if (differences.length === 0) return stored.tcm_handle
  socket.request(deleteFilter(placeOf(stored), 'flower'))
  throw new EchoMismatch(differences)
}

/** What `action` returns or throws. */
function settled<T>(action: () => T): T | Error {
  try {
    return action()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}

/** The other way round. */
function succeeded<T>(result: T | undefined): Exclude<T, Error> {
  if (result instanceof Error) throw result
  return result as Exclude<T, Error>
}

function ingressDevices(socket: NetlinkSocket): number[] {
  return socket.dump(dumpQdiscs()).flatMap((message) => {
    const qdisc = decodeQdisc(message)
    return qdisc.TCA_KIND === 'clsact' || qdisc.TCA_KIND === 'ingress' ? [qdisc.tcm_ifindex] : []
  })
}
