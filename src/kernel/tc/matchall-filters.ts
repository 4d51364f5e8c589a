/** Filters for every frame, of rate limits: the detour through an ifb, and the policer of what a representor receives. */
import { fromHex, toHex } from '../../lib/hex.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { type Action, actionList, limitRate, redirectTo } from '../../netlink/tc/actions/action.ts'
import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { compareEcho } from '../../netlink/tc/compare.ts'
import {
  actionsOf,
  decodeFilter,
  dumpFilters,
  isInHardware,
  newFilter,
  placeOf,
} from '../../netlink/tc/filter.ts'
import { CLSACT_INGRESS, filterInfo, type Tc } from '../../netlink/tc/msg.ts'
import { ETH_P } from '../../netlink/tc/validate.ts'
import { policeMtu, ratePriority } from '../../ops/marks/rate-numbers.ts'
import type { Classifier, IfbRedirect, Offload, Outcome, PoliceSpec } from '../../ops/op.ts'
import { offered, tolerate, unseenFilter } from '../errors.ts'
import { classifiers, everyFrameOptions } from './every-frame.ts'
import { deleteShown } from './shown-filters.ts'

/** A filter for every frame that an interface receives, as it is asked for. */
interface Wanted {
  readonly ifindex: number
  readonly priority: number
  readonly classifier: Classifier
  readonly action: Action
  readonly inHardware: boolean
}

function detour(ifindex: number, through: number, { cookie, classifier = 'matchall' }: IfbRedirect): Wanted {
  const action = redirectTo(through, fromHex(cookie))
  return { ifindex, priority: ratePriority.detour, classifier, action, inHardware: false }
}

/** What conforms goes on to the next filter (`continue`, the form that mlx5 takes). */
function police(ifindex: number, { bytesPerSecond, burst, cookie }: PoliceSpec, inHardware: boolean): Wanted {
  const spec = { bytesPerSecond, burst, mtu: policeMtu, conform: TC_ACT.TC_ACT_UNSPEC }
  const action = limitRate(spec, fromHex(cookie))
  return { ifindex, priority: ratePriority.police, classifier: 'matchall', action, inHardware }
}

/**
 * Sends all that an interface receives through an ifb, by the first classifier that the kernel has. The outcome names one
 * other than matchall, and why.
 * @throws NetlinkError ENOENT with what the kernel said to each where it has none, or no action mirred
 */
export function addIfbRedirect(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  spec: IfbRedirect,
): Outcome {
  const refusals: string[] = []
  for (const classifier of classifiers) {
    try {
      const handle = addEveryFrame(socket, detour(ifindex, through, { ...spec, classifier }))
      const instead = refusals.length === 0 ? {} : { classifier, reason: refusals.join('; ') }
      return { where: 'host', handle, ...instead }
    } catch (error) {
      // What the kernel, or one of its modules, has not got.
      if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error
      refusals.push(`${classifier}: ${error.message}`)
    }
  }
  throw new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 2, extack: refusals.join('; ') })
}

/** Drops what an interface receives over the rate. Offload as addFlowFilters() has it. */
export function addPolice(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
  offload: Offload,
): Outcome {
  return offered(offload, (inHardware) => addEveryFrame(socket, police(ifindex, spec, inHardware)))
}

/**
 * Adds a filter for every frame; its handle. The kernel echoes new matchall filters without their options, so what it
 * has stored is asked for.
 */
function addEveryFrame(socket: NetlinkSocket, wanted: Wanted): number {
  const { ifindex, priority, inHardware } = wanted
  socket.request(newFilter(requestOf(wanted), false))
  const dump = socket.dump(dumpFilters(ifindex)).map(decodeFilter)
  const stored = dump.find((filter) => placeOf(filter).priority === priority && actionsOf(filter).length > 0)
  if (stored === undefined) throw unseenFilter()
  const differences = compareEcho(requestOf(wanted), stored)
  if (inHardware && !isInHardware(stored)) differences.push('in_hw: missing')
  if (differences.length === 0) return stored.tcm_handle
  socket.request(deleteShown(stored, dump))
  throw new NetlinkError({
    operation: 'RTM_NEWTFILTER',
    errno: 71,
    extack: `the kernel stored another filter than asked for: ${differences.join('; ')}`,
  })
}

function requestOf({ ifindex, priority, classifier, action, inHardware }: Wanted) {
  return {
    tcm_ifindex: ifindex,
    tcm_parent: CLSACT_INGRESS,
    tcm_info: filterInfo(priority, ETH_P.ETH_P_ALL),
    TCA_KIND: classifier,
    TCA_OPTIONS: everyFrameOptions(classifier, actionList([action]), inHardware),
  }
}

/** Takes back the one filter in a priority of ours that has the cookie. */
export function removeEveryFrame(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  cookie: string,
): void {
  // A dump can lose entries, so one that does not show the filter proves nothing.
  for (let look = 0; look < 2; look++) {
    const dump = socket.dump(dumpFilters(ifindex)).map(decodeFilter)
    const own = dump.find((filter) => isOwn(filter, priority, cookie))
    if (own === undefined) continue
    socket.request(deleteShown(own, dump))
    return
  }
}

/** What is not as addIfbRedirect() left it; undefined when there is no filter of ours. */
export function detourDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  spec: IfbRedirect,
): readonly string[] | undefined {
  const stored = findEveryFrame(socket, ifindex, ratePriority.detour, spec.cookie)
  return stored && compareEcho(requestOf(detour(ifindex, through, spec)), stored)
}

/** What is not as addPolice() left it in the NIC; undefined when there is no filter of ours. */
export function policeDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
): readonly string[] | undefined {
  const stored = findEveryFrame(socket, ifindex, ratePriority.police, spec.cookie)
  if (stored === undefined) return undefined
  const differences = compareEcho(requestOf(police(ifindex, spec, true)), stored)
  return isInHardware(stored) ? differences : [...differences, 'it is not in the NIC any more']
}

/** The filter in a priority of ours whose first action has the cookie. */
export function findEveryFrame(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  cookie: string,
): Tc | undefined {
  const found = tolerate(['EINVAL', 'ENODEV'], () => socket.dump(dumpFilters(ifindex))) ?? []
  return found.map(decodeFilter).find((filter) => isOwn(filter, priority, cookie))
}

function isOwn(filter: Tc, priority: number, cookie: string): boolean {
  const own = actionsOf(filter)[0]?.TCA_ACT_COOKIE
  return placeOf(filter).priority === priority && own !== undefined && toHex(own) === cookie
}
