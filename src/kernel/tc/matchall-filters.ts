/** Filters that match every frame: the redirect to an IFB, and the policer of the frames that a representor receives. */
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
import { offered, StoredOtherwise, tolerate, unseenFilter } from '../errors.ts'
import { classifiers, everyFrameOptions } from './every-frame.ts'
import { deleteShown } from './shown-filters.ts'

/** A filter to add, for every frame that an interface receives. */
interface Wanted {
  readonly ifindex: number
  readonly priority: number
  readonly classifier: Classifier
  readonly action: Action
  readonly inHardware: boolean
}

function ifbRedirect(
  ifindex: number,
  through: number,
  { cookie, classifier = 'matchall' }: IfbRedirect,
): Wanted {
  const action = redirectTo(through, fromHex(cookie))
  return { ifindex, priority: ratePriority.detour, classifier, action, inHardware: false }
}

/** A policer. Frames within the rate go on to the next filter (`continue`, the form that mlx5 accepts). */
function police(ifindex: number, { bytesPerSecond, burst, cookie }: PoliceSpec, inHardware: boolean): Wanted {
  const spec = { bytesPerSecond, burst, mtu: policeMtu, conform: TC_ACT.TC_ACT_UNSPEC }
  const action = limitRate(spec, fromHex(cookie))
  return { ifindex, priority: ratePriority.police, classifier: 'matchall', action, inHardware }
}

/**
 * Redirects every frame that an interface receives to an IFB, by the first classifier that the kernel has. The outcome names a
 * classifier other than matchall, and the reason.
 * @throws NetlinkError ENOENT, with the kernel's reason for each classifier, when the kernel has none of them or no action mirred
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
      const handle = addEveryFrame(socket, ifbRedirect(ifindex, through, { ...spec, classifier }))
      const instead = refusals.length === 0 ? {} : { classifier, reason: refusals.join('; ') }
      return { where: 'host', handle, ...instead }
    } catch (error) {
      // ENOENT: the kernel lacks the classifier or the action.
      if (!(error instanceof NetlinkError && error.code === 'ENOENT')) throw error
      refusals.push(`${classifier}: ${error.message}`)
    }
  }
  throw new NetlinkError({ operation: 'RTM_NEWTFILTER', errno: 2, extack: refusals.join('; ') })
}

/** Drops the frames that an interface receives above the rate. `offload` is as in addFlowFilters(). */
export function addPolice(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
  offload: Offload,
): Outcome {
  return offered(offload, (inHardware) => addEveryFrame(socket, police(ifindex, spec, inHardware)))
}

/**
 * Adds a filter and returns its handle. The kernel echoes a new matchall filter without its options, so this function reads the
 * stored filter and compares it.
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
  throw new StoredOtherwise(differences)
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

/** Removes the filter with `priority` and `cookie`. Succeeds when there is none. */
export function removeEveryFrame(
  socket: NetlinkSocket,
  ifindex: number,
  priority: number,
  cookie: string,
): void {
  // Two reads: a dump can lose entries, so a dump without the filter proves nothing.
  for (let look = 0; look < 2; look++) {
    const dump = socket.dump(dumpFilters(ifindex)).map(decodeFilter)
    const own = dump.find((filter) => isOwn(filter, priority, cookie))
    if (own === undefined) continue
    socket.request(deleteShown(own, dump))
    return
  }
}

/** The differences from the filter of addIfbRedirect(); undefined when there is no filter of ours. */
export function ifbRedirectDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  through: number,
  spec: IfbRedirect,
): readonly string[] | undefined {
  const stored = findEveryFrame(socket, ifindex, ratePriority.detour, spec.cookie)
  return stored && compareEcho(requestOf(ifbRedirect(ifindex, through, spec)), stored)
}

/** The differences from the filter of addPolice() in the NIC; undefined when there is no filter of ours. */
export function policeDifferences(
  socket: NetlinkSocket,
  ifindex: number,
  spec: PoliceSpec,
): readonly string[] | undefined {
  const stored = findEveryFrame(socket, ifindex, ratePriority.police, spec.cookie)
  if (stored === undefined) return undefined
  const differences = compareEcho(requestOf(police(ifindex, spec, true)), stored)
  return isInHardware(stored) ? differences : [...differences, 'the filter is no longer in the NIC']
}

/** The filter with `priority` whose first action has `cookie`; undefined when there is none. */
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
