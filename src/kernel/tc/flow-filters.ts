/** Adds and removes flow filters: flower on clsact ingress. Offers each filter to the NIC first and keeps the refusal. */

import type { Request } from '../../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
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
import { offered, StoredOtherwise, unseenFilter } from '../errors.ts'
import { type Molded, moldsOf } from './filter-mold.ts'
import {
  cookieOf,
  flowFilterDifferences,
  flowFilterKey,
  flowFilterOptions,
  flowFilterPlace,
} from './flow-filter-spec.ts'
import { gone } from './own-filters.ts'

/** A filter to add or to remove. `handle` is known only for a filter that was added. */
export interface FilterRequest {
  readonly ifindex: number
  readonly spec: FlowFilter
  readonly handle?: number
}

/** A filter to add. */
export interface WantedFilter extends FilterRequest {
  readonly offload: Offload
}

/**
 * Adds flow filters, in order and in few datagrams. Returns the outcome, or the error, of each. `prefer` asks for skip_sw. After
 * all filters have had that try, the refused ones are added with skip_hw, and their outcome has the driver's reason. `require`
 * has no fallback. The kernel's echo must equal the request and, with skip_sw, have in_hw.
 */
export function addFlowFilters(socket: NetlinkSocket, wanted: readonly WantedFilter[]): (Outcome | Error)[] {
  const isAsked = ({ offload }: WantedFilter) => offload !== 'off'
  const first = addAll(
    socket,
    wanted.map((request) => ({ ...request, inHardware: isAsked(request) })),
  )
  return wanted.map((request, at) => {
    const handle = (inHardware: boolean) =>
      succeeded(inHardware === isAsked(request) ? first[at] : addAll(socket, [{ ...request, inHardware }])[0])
    return settled(() => offered(request.offload, handle))
  })
}

/**
 * Removes filters by handle or, without a handle, by key and cookie, in few datagrams. Rollbacks use it. Succeeds when a filter,
 * its qdisc or its interface is gone. Returns an error in the place of each filter that is still there.
 */
export function removeFlowFilters(
  socket: NetlinkSocket,
  requests: readonly FilterRequest[],
): (Outcome | Error)[] {
  const found = new Map<FilterRequest, FilterPlace>()
  for (const request of requests) {
    const { ifindex, spec, handle } = request
    if (handle !== undefined) found.set(request, flowFilterPlace(ifindex, spec, handle))
  }
  // Two reads: a dump can lose entries, so a dump without the filter proves nothing.
  for (let look = 0; look < 2; look++) {
    const filtersWithKey = lookAt(socket)
    for (const request of requests) {
      if (found.has(request)) continue
      const own = filtersWithKey(request).find((filter) => cookieOf(filter) === request.spec.cookie)
      if (own !== undefined) found.set(request, placeOf(own))
    }
  }
  const replies = socket.batch([...found.values()].map((place) => deleteFilter(place, 'flower')))
  const refusals = new Map([...found.keys()].map((request, at) => [request, replies[at]]))
  return requests.map((request) => {
    const reply = refusals.get(request)
    return reply instanceof NetlinkError && !gone.has(reply.code) ? reply : {}
  })
}

/** Returns a function that finds the stored filters with the key and priority of a filter. It dumps each interface once. */
function lookAt(socket: NetlinkSocket): (request: FilterRequest) => Tc[] {
  const shown = new Map<number, Tc[]>()
  return ({ ifindex, spec }) => {
    const filters = shown.get(ifindex) ?? socket.dump(dumpFilters(ifindex)).map(decodeFilter)
    shown.set(ifindex, filters)
    // Behind a VLAN tag the kernel shows the inner EtherType as the key, and the outer one as the protocol of the place.
    const { TCA_FLOWER_KEY_ETH_TYPE: protocol, ...wanted } = flowFilterKey(spec)
    const keys = Object.entries(wanted)
    const conditions = new Set(Object.keys(wanted))
    return filters.filter((filter) => {
      const [place, found] = [placeOf(filter), flowerOf(filter)]
      if (found === undefined || place.priority !== spec.prio || place.protocol !== protocol) return false
      // A filter with more conditions is another filter, even if the common conditions are equal.
      const isSame = Object.keys(found).every((key) => !isCondition(key) || conditions.has(key))
      return isSame && keys.every(([key, value]) => found[key as keyof Flower] === value)
    })
  }
}

/** True for a key to compare. The EtherType differs behind a VLAN tag. The kernel shows masks that no request has set. */
function isCondition(name: string): boolean {
  return name.startsWith('TCA_FLOWER_KEY_') && name !== 'TCA_FLOWER_KEY_ETH_TYPE' && !name.endsWith('_MASK')
}

/** The error for a filter that the kernel refused with EEXIST. Names the filter that has the key. */
function takenBy(spec: FlowFilter, other: Tc): PortTaken {
  const cookie = cookieOf(other)
  const whose = cookie === undefined ? 'that is not of a mapping' : `with cookie ${cookie}`
  return new PortTaken(spec, `a filter of priority ${spec.prio} on "${spec.link}" ${whose}`, cookie)
}

/** Adds the filters in one batch. Returns the handle, or the error, of each. */
function addAll(socket: NetlinkSocket, wanted: readonly Molded[]): (number | Error)[] {
  const molds = moldsOf(wanted, (one) => encoded(one, optionsOf(one)))
  const options = wanted.map((one, at) => (molds[at] === undefined ? optionsOf(one) : undefined))
  const replies = socket.batch(
    wanted.map((one, at) => molds[at]?.request(one.spec) ?? encoded(one, options[at] ?? {})),
  )
  const filtersWithKey = lookAt(socket)
  return wanted.map((request, at) =>
    settled(() => {
      const reply = replies[at]
      if (reply instanceof NetlinkError && reply.code === 'EEXIST') {
        const [other] = filtersWithKey(request)
        throw other === undefined ? reply : takenBy(request.spec, other)
      }
      const { echo } = succeeded(reply)
      if (echo === undefined) throw unseenFilter()
      const known = molds[at]?.handleIn(echo.payload, request.spec)
      if (known !== undefined) return known
      const handle = handleOf(socket, request, decodeFilter(echo), options[at])
      molds[at]?.learn(echo.payload, request.spec)
      return handle
    }),
  )
}

function optionsOf({ ifindex, spec, inHardware }: Molded): Flower {
  return flowFilterOptions(ifindex, spec, inHardware)
}

function encoded({ ifindex, spec }: Molded, options: Flower): Request {
  return newFlower(flowFilterPlace(ifindex, spec), options)
}

/** The handle of the stored filter. @throws StoredOtherwise when the kernel has stored another filter, which this call removes */
function handleOf(
  socket: NetlinkSocket,
  { ifindex, spec, inHardware }: Molded,
  stored: Tc,
  options: Flower | undefined,
): number {
  const differences = flowFilterDifferences(ifindex, spec, inHardware, stored, options)
  if (differences.length === 0) return stored.tcm_handle
  socket.request(deleteFilter(placeOf(stored), 'flower'))
  throw new StoredOtherwise(differences)
}

/** Runs `action`. Returns its result, or the error that it throws. */
function settled<T>(action: () => T): T | Error {
  try {
    return action()
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
}

/** Throws `result` if it is an error, and returns it otherwise. The inverse of {@link settled}. */
function succeeded<T>(result: T | undefined): Exclude<T, Error> {
  if (result instanceof Error) throw result
  return result as Exclude<T, Error>
}
