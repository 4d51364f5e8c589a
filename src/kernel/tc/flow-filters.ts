/** Steering filters: flower on clsact ingress, MAC rewrite, redirect. Offload is tried first and its refusal kept. */

import { NetlinkError, type NetlinkSocket, type Reply } from '../../netlink/socket.ts'
import {
  decodeFilter,
  deleteFilter,
  dumpFilters,
  type FilterPlace,
  flowerOf,
  newFlower,
  placeOf,
} from '../../netlink/tc/filter.ts'
import type { Flower } from '../../netlink/tc/kinds/flower.ts'
import type { Tc } from '../../netlink/tc/msg.ts'
import type { FlowFilter, Offload, Outcome } from '../../ops/op.ts'
import { PortTaken } from '../../ops/port-taken.ts'
import { EchoMismatch, offered, unseenFilter } from '../errors.ts'
import { cookieOf, steerDifferences, steerKey, steerOptions, steerPlace } from './flow-filter-spec.ts'
import { gone } from './own-filters.ts'

/** A filter that is wanted, or to be taken back: then with its number, where that is known. */
export interface Steer {
  readonly ifindex: number
  readonly spec: FlowFilter
  readonly handle?: number
}

/** One that is wanted, in the NIC or not. */
export interface WantedFilter extends Steer {
  readonly offload: Offload
}

/**
 * Adds steering filters, in order and in few datagrams: the outcome of each, or why there is none. `prefer` asks for skip_sw
 * and, when all have had that try, falls back to skip_hw with the driver's words; `require` has no fallback. The kernel's
 * echo must be what was asked for, and with skip_sw say in_hw.
 */
export function addFlowFilters(socket: NetlinkSocket, wanted: readonly WantedFilter[]): (Outcome | Error)[] {
  const isAsked = ({ offload }: WantedFilter) => offload !== 'off'
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

/**
 * Removes filters by their numbers or, without one, by key and cookie, in few datagrams; used to take back additions. Fine
 * when one is gone, also with its qdisc or interface; an error in its place says why one is still there.
 */
export function removeFlowFilters(socket: NetlinkSocket, steers: readonly Steer[]): (Outcome | Error)[] {
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
function takenBy(spec: FlowFilter, other: Tc): PortTaken {
  const cookie = cookieOf(other)
  const whose = cookie === undefined ? 'that is not of a mapping' : `with cookie ${cookie}`
  return new PortTaken(spec, `a filter of priority ${spec.prio} on "${spec.link}" ${whose}`, cookie)
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
