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
import { CLSACT_INGRESS, filterInfo, type Tc } from '../netlink/tc/msg.ts'
import { ETH_P } from '../netlink/tc/rule.ts'
import type { DetourSpec, Offload, Outcome, PoliceSpec } from '../ops/op.ts'
import { offered, tolerate, unseenFilter } from './refusals.ts'

/** A filter for every frame that an interface receives, as it is asked for. */
interface Wanted {
  readonly ifindex: number
  readonly priority: number
  readonly action: Action
  readonly inHardware: boolean
}

function detour(ifindex: number, through: number, { cookie }: DetourSpec): Wanted {
  const action = redirectTo(through, fromHex(cookie))
  return { ifindex, priority: ratePriority.detour, action, inHardware: false }
}

/** What conforms goes on to the next filter (`continue`, the form that mlx5 takes). */
function police(ifindex: number, { bytesPerSecond, burst, cookie }: PoliceSpec, inHardware: boolean): Wanted {
  const spec = { bytesPerSecond, burst, mtu: policeMtu, conform: TC_ACT.TC_ACT_UNSPEC }
  return { ifindex, priority: ratePriority.police, action: limitRate(spec, fromHex(cookie)), inHardware }
}

/** Sends all that an interface receives through an ifb. */
export function addDetour(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  spec: DetourSpec,
): Outcome {
  return { where: 'host', handle: addMatchall(socket, detour(ifindex, through, spec)) }
}

/** Drops what an interface receives over the rate. Offload as addSteers() has it. */
export function addPolice(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
  offload: Offload,
): Outcome {
  return offered(offload, (inHardware) => addMatchall(socket, police(ifindex, spec, inHardware)))
}

/**
 * Adds a filter for every frame; its handle. The kernel echoes new matchall filters without their options, so what it
 * has stored is asked for.
 */
function addMatchall(socket: NetlinkSocket, wanted: Wanted): number {
  const { ifindex, priority, inHardware } = wanted
  socket.request(newMatchall({ ifindex, priority, protocol: ETH_P.ETH_P_ALL }, optionsOf(wanted)))
  const stored = socket
    .dump(dumpFilters(ifindex))
    .map(decodeFilter)
    .find((filter) => placeOf(filter).priority === priority && actionsOf(filter).length > 0)
  if (stored === undefined) throw unseenFilter()
  const differences = matchallDifferences(wanted, stored)
  if (inHardware && !isInHardware(stored)) differences.push('in_hw: missing')
  if (differences.length === 0) return stored.tcm_handle
  removeStored(socket, stored)
  throw new NetlinkError({
    operation: 'RTM_NEWTFILTER',
    errno: 71,
    extack: `the kernel stored another filter than asked for: ${differences.join('; ')}`,
  })
}

function optionsOf({ action, inHardware }: Wanted) {
  const { TCA_CLS_FLAGS_SKIP_HW: skipHw, TCA_CLS_FLAGS_SKIP_SW: skipSw } = TCA_CLS_FLAGS
  return { TCA_MATCHALL_ACT: actionList([action]), TCA_MATCHALL_FLAGS: inHardware ? skipSw : skipHw }
}

function matchallDifferences(wanted: Wanted, stored: Tc): string[] {
  const asked = {
    tcm_ifindex: wanted.ifindex,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(wanted.priority, ETH_P.ETH_P_ALL),
    TCA_KIND: 'matchall',
    TCA_OPTIONS: optionsOf(wanted),
  }
  return compareEcho(asked, stored)
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

/** What is not as addDetour() left it; undefined when there is no filter of ours. */
export function detourDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  spec: DetourSpec,
): readonly string[] | undefined {
  const stored = findMatchall(socket, ifindex, ratePriority.detour, spec.cookie)
  return stored && matchallDifferences(detour(ifindex, through, spec), stored)
}

/** What is not as addPolice() left it in the NIC; undefined when there is no filter of ours. */
export function policeDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
): readonly string[] | undefined {
  const stored = findMatchall(socket, ifindex, ratePriority.police, spec.cookie)
  if (stored === undefined) return undefined
  const differences = matchallDifferences(police(ifindex, spec, true), stored)
  return isInHardware(stored) ? differences : [...differences, 'it is not in the NIC any more']
}

/** The filter in a priority of ours whose first action has the cookie. */
export function findMatchall(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  cookie: string,
): Tc | undefined {
  const found = tolerate(['EINVAL', 'ENODEV'], () => socket.dump(dumpFilters(ifindex))) ?? []
  return found.map(decodeFilter).find((filter) => {
    const own = actionsOf(filter)[0]?.TCA_ACT_COOKIE
    return placeOf(filter).priority === priority && own !== undefined && toHex(own) === cookie
  })
}

/** Removes a filter that the kernel has shown. */
export function removeStored(socket: NetlinkSocket, filter: Tc): void {
  socket.request(deleteFilter(placeOf(filter), filter.TCA_KIND ?? 'matchall'))
}
