/** Matchall filters of rate limits: the detour through an ifb, and the policer of what a representor receives. */
import { fromHex, toHex } from '../lib/hex.ts'
import { policeMtu, ratePriority } from '../lib/rate-numbers.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import { type Action, actionList, limitRate, redirectTo } from '../netlink/tc/action.ts'
import { compareEcho } from '../netlink/tc/echo.ts'
import {
  actionsOf,
  decodeFilter,
  deleteFilter,
  dumpFilters,
  isInHardware,
  newMatchall,
  placeOf,
} from '../netlink/tc/filter.ts'
import { TCA_CLS_FLAGS } from '../netlink/tc/flower.ts'
import { TC_ACT } from '../netlink/tc/gact.ts'
import type { Mirred } from '../netlink/tc/mirred.ts'
import { CLSACT_INGRESS, filterInfo, type Tc } from '../netlink/tc/msg.ts'
import { bytesOfTicks, type Police, rateOf } from '../netlink/tc/police.ts'
import { ETH_P } from '../netlink/tc/rule.ts'
import type { DetourSpec, Offload, Outcome, PoliceSpec } from '../ops/op.ts'
import type { CatchAllFacts } from './facts.ts'
import { offered, tolerate } from './refusals.ts'

/** Sends all that an interface receives through an ifb. */
export function addDetour(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  { cookie }: DetourSpec,
): Outcome {
  const action = redirectTo(through, fromHex(cookie))
  return { where: 'host', handle: addMatchall(socket, ifindex, ratePriority.detour, action, false) }
}

/**
 * Drops what an interface receives over the rate; what conforms goes on to the next filter (`continue`, the form that
 * mlx5 takes). Offload as addSteer() has it.
 */
export function addPolice(
  socket: NetlinkSocket,
  ifindex: number,
  { bytesPerSecond, burst, cookie }: PoliceSpec,
  offload: Offload,
): Outcome {
  const spec = { bytesPerSecond, burst, mtu: policeMtu, conform: TC_ACT.TC_ACT_UNSPEC }
  const action = limitRate(spec, fromHex(cookie))
  const add = (inHardware: boolean) => addMatchall(socket, ifindex, ratePriority.police, action, inHardware)
  return offered(offload, add)
}

/**
 * Adds a filter for every frame; its handle. The kernel echoes new matchall filters without their options, so what it
 * has stored is asked for.
 */
function addMatchall(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  action: Action,
  inHardware: boolean,
): number {
  const { TCA_CLS_FLAGS_SKIP_HW: skipHw, TCA_CLS_FLAGS_SKIP_SW: skipSw } = TCA_CLS_FLAGS
  const place = { ifindex, priority, protocol: ETH_P.ETH_P_ALL }
  const options = {
    TCA_MATCHALL_ACT: actionList([action]),
    TCA_MATCHALL_FLAGS: inHardware ? skipSw : skipHw,
  }
  socket.request(newMatchall(place, options))
  const stored = socket
    .dump(dumpFilters(ifindex))
    .map(decodeFilter)
    .find((filter) => placeOf(filter).priority === priority && actionsOf(filter).length > 0)
  const asked = {
    tcm_ifindex: ifindex,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(priority, ETH_P.ETH_P_ALL),
    TCA_KIND: 'matchall',
    TCA_OPTIONS: options,
  }
  const differences = stored === undefined ? ['nothing'] : compareEcho(asked, stored)
  if (inHardware && stored !== undefined && !isInHardware(stored)) differences.push('in_hw: missing')
  if (differences.length === 0 && stored !== undefined) return stored.tcm_handle
  if (stored !== undefined) removeStored(socket, stored)
  throw new NetlinkError({
    operation: 'RTM_NEWTFILTER',
    errno: 71,
    extack: `the kernel stored another filter than asked for: ${differences.join('; ')}`,
  })
}

/** Takes back the one matchall filter in a priority of ours that has the cookie. */
export function removeMatchall(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  cookie: string,
): void {
  // A dump can lose entries, so one that does not show the filter proves nothing.
  for (let look = 0; look < 2; look++) {
    for (const filter of socket.dump(dumpFilters(ifindex)).map(decodeFilter)) {
      const own = actionsOf(filter)[0]?.TCA_ACT_COOKIE
      if (placeOf(filter).priority !== priority || own === undefined || toHex(own) !== cookie) continue
      removeStored(socket, filter)
      return
    }
  }
}

/** Filters with a cookie for every frame that an interface receives, by what they do. */
export function catchAllOn(socket: NetlinkSocket, ifindex: number, cookie: string): CatchAllFacts[] {
  const found = tolerate(['EINVAL', 'ENODEV'], () => socket.dump(dumpFilters(ifindex))) ?? []
  return found.map(decodeFilter).flatMap((filter) => {
    const [action] = actionsOf(filter)
    const own = action?.TCA_ACT_COOKIE
    if (filter.TCA_KIND !== 'matchall' || own === undefined || toHex(own) !== cookie) return []
    const { TCA_MIRRED_PARMS: redirect } = (action?.TCA_ACT_OPTIONS ?? {}) as Mirred
    const { TCA_POLICE_TBF: police, TCA_POLICE_RATE64: rate64 } = (action?.TCA_ACT_OPTIONS ?? {}) as Police
    const bytesPerSecond = police && rateOf(police.rate, rate64)
    return [
      {
        prio: placeOf(filter).priority,
        through: action?.TCA_ACT_KIND === 'mirred' ? redirect?.ifindex : undefined,
        police:
          action?.TCA_ACT_KIND === 'police' && police !== undefined && bytesPerSecond !== undefined
            ? { bytesPerSecond, burst: bytesOfTicks(police.burst, bytesPerSecond) }
            : undefined,
        inHw: isInHardware(filter),
      },
    ]
  })
}

/** Removes a filter that the kernel has shown. */
export function removeStored(socket: NetlinkSocket, filter: Tc): void {
  socket.request(deleteFilter(placeOf(filter), filter.TCA_KIND ?? 'matchall'))
}
