/**
 * Shared policers, which several filters use by their index, and MAC policers: filters for one MAC address that use a shared
 * policer. Together they limit all traffic to a pod by one rate.
 */
import { fromHex, toHex } from '../../lib/hex.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import {
  type Action,
  actionList,
  decodeActions,
  deleteAction,
  dumpActions,
  getAction,
  limitByIndex,
  limitRate,
  newActions,
  popVlan,
  redirectTo,
  TCA_ACT_FLAGS,
} from '../../netlink/tc/actions/action.ts'
import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { bytesOfTicks, type Police, rateOf } from '../../netlink/tc/actions/police.ts'
import { compareActions, compareEcho } from '../../netlink/tc/compare.ts'
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
} from '../../netlink/tc/filter.ts'
import { type Flower, TCA_CLS_FLAGS } from '../../netlink/tc/kinds/flower.ts'
import { filterInfo, type Tc } from '../../netlink/tc/msg.ts'
import { ETH_P } from '../../netlink/tc/validate.ts'
import { meterPriority, policeMtu } from '../../ops/marks/rate-numbers.ts'
import { OffloadRefused } from '../../ops/offload-refused.ts'
import type { MacPolicer, Offload, Outcome, SharedPolicer } from '../../ops/op.ts'
import { sleep } from '../../sys/sleep.ts'
import type { SharedPolicerFacts } from '../api/facts.ts'
import { offered, StoredOtherwise, tolerate, unseenFilter, wordsOf } from '../errors.ts'

/** Adds a shared policer. With skip_sw the driver must accept the policer, and only filters with skip_sw may use it. */
export function addSharedPolicer(socket: NetlinkSocket, spec: SharedPolicer, offload: Offload): Outcome {
  return offered(offload, (inHardware) => {
    socket.request(newActions([policerAction(spec, inHardware)]))
    return spec.index
  })
}

function policerAction({ index, bytesPerSecond, burst, cookie }: SharedPolicer, inHardware: boolean): Action {
  const { TCA_ACT_FLAGS_SKIP_HW: skipHw, TCA_ACT_FLAGS_SKIP_SW: skipSw } = TCA_ACT_FLAGS
  const bit = inHardware ? skipSw : skipHw
  const spec = { bytesPerSecond, burst, mtu: policeMtu, conform: TC_ACT.TC_ACT_PIPE, index }
  return { ...limitRate(spec, fromHex(cookie)), TCA_ACT_FLAGS: { value: bit, selector: bit } }
}

/** The differences from the shared policer of addSharedPolicer() in the NIC; none when the policer is gone. */
export function sharedPolicerDifferences(socket: NetlinkSocket, spec: SharedPolicer): readonly string[] {
  const stored = policerOf(socket, spec.index)
  return stored === undefined ? [] : compareActions(policerAction(spec, true), stored)
}

/** Shared policers whose cookie starts with `cookiePrefix` (hex). */
export function sharedPolicersOf(socket: NetlinkSocket, cookiePrefix: string): SharedPolicerFacts[] {
  return factsOf(policersOf(socket), cookiePrefix)
}

/** The policers with these indexes that have `cookie`. Does not dump: foreign filters may have any number of policers. */
export function sharedPolicersAt(
  socket: NetlinkSocket,
  indexes: readonly number[],
  cookie: string,
): SharedPolicerFacts[] {
  const replies = socket.batch(indexes.map((index) => getAction('police', index)))
  return replies.flatMap((reply) => {
    if (reply instanceof NetlinkError) {
      // EINVAL: the kernel has no policers.
      if (reply.code === 'ENOENT' || reply.code === 'EINVAL') return []
      throw reply
    }
    return reply.echo === undefined ? [] : factsOf(decodeActions(reply.echo), cookie)
  })
}

function factsOf(actions: readonly Action[], cookiePrefix: string): SharedPolicerFacts[] {
  return actions.filter(isDecoded).flatMap((action) => {
    const cookie = action.TCA_ACT_COOKIE === undefined ? '' : toHex(action.TCA_ACT_COOKIE)
    const { TCA_POLICE_TBF: parms, TCA_POLICE_RATE64: rate64 } = action.TCA_ACT_OPTIONS as Police
    if (parms === undefined || !cookie.startsWith(cookiePrefix)) return []
    const bytesPerSecond = rateOf(parms.rate, rate64)
    const burst = bytesOfTicks(parms.burst, bytesPerSecond)
    return [{ index: parms.index, cookie, bytesPerSecond, burst, users: parms.bindcnt }]
  })
}

/** The indexes from `first` on that policers have, foreign ones too, up to the first free one. Asks for one after the other. */
export function takenPolicers(socket: NetlinkSocket, first: number): number[] {
  const taken: number[] = []
  while (policerOf(socket, first + taken.length) !== undefined) taken.push(first + taken.length)
  return taken
}

/**
 * Limit of the wait for the kernel, and milliseconds between tries. The kernel releases the actions of a removed filter later, by
 * queued work (tcf_queue_work, net/sched/cls_api.c), which may wait on a busy machine.
 */
const releaseMs = 2_000
const releasePollMs = 10

/**
 * Removes a shared policer. Succeeds when the policer is gone. Waits up to `patienceMs` milliseconds until the kernel has released
 * the actions of filters that were removed just before.
 * @throws NetlinkError EPERM while other filters use the policer
 */
export function removeSharedPolicer(socket: NetlinkSocket, index: number, patienceMs = releaseMs): void {
  for (let waited = 0; ; waited += releasePollMs) {
    try {
      tolerate(['ENOENT', 'EINVAL'], () => socket.request(deleteAction('police', index)))
      return
    } catch (error) {
      const isHeld = error instanceof NetlinkError && error.code === 'EPERM'
      if (!isHeld || waited >= patienceMs) throw error
    }
    sleep(releasePollMs)
  }
}

/** The shared policer with this index; undefined when there is none. Other policers are not read. */
export function policerOf(socket: NetlinkSocket, index: number): Action | undefined {
  const reply = tolerate(['ENOENT', 'EINVAL'], () => socket.request(getAction('police', index)))
  const actions = reply?.echo === undefined ? [] : decodeActions(reply.echo)
  return actions
    .filter(isDecoded)
    .find((action) => (action.TCA_ACT_OPTIONS as Police).TCA_POLICE_TBF?.index === index)
}

function policersOf(socket: NetlinkSocket): Action[] {
  return socket.dump(dumpActions('police')).flatMap(decodeActions).filter(isDecoded)
}

function isDecoded({ TCA_ACT_OPTIONS: options }: Action): boolean {
  return options !== undefined && !(options instanceof Uint8Array)
}

/** Adds a MAC policer to the NIC; there is no fallback to software. @throws OffloadRefused with the driver's reason */
export function addMacPolicer(socket: NetlinkSocket, spec: MacPolicer): Outcome {
  const { place, options } = macPolicerRequest(spec)
  try {
    const { echo } = socket.request(newFlower(place, options))
    if (echo === undefined) throw unseenFilter()
    const stored = decodeFilter(echo)
    const differences = macPolicerDifferences(spec, stored)
    if (differences.length === 0) return { where: 'nic', handle: stored.tcm_handle }
    socket.request(deleteFilter(placeOf(stored), 'flower'))
    const reason = new StoredOtherwise(differences)
    throw new OffloadRefused(reason.message, reason)
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code === 'EEXIST' || error.isLost) throw error
    throw new OffloadRefused(wordsOf(error), error)
  }
}

/** True when the MAC policer exists, uses the shared policer of `spec`, and is in the NIC. */
export function hasMacPolicer(socket: NetlinkSocket, spec: MacPolicer): boolean {
  return macPolicersOf(socket, spec).some((filter) => macPolicerDifferences(spec, filter).length === 0)
}

/** Removes the MAC policer of `spec`. Succeeds when there is none. */
export function removeMacPolicer(socket: NetlinkSocket, spec: MacPolicer): void {
  for (const filter of macPolicersOf(socket, spec)) socket.request(deleteFilter(placeOf(filter), 'flower'))
}

/** Filters with the priority, the MAC address and the cookie of `spec`. */
export function macPolicersOf(socket: NetlinkSocket, spec: MacPolicer): Tc[] {
  const { ifindex, mac, cookie } = spec
  // The filters of others have other cookies, and are passed over undecoded.
  const which = { chain: 0, slot: macPolicerRequest(spec).place }
  const look = () => socket.scan(dumpFilters(ifindex, which), [fromHex(cookie)]).found
  return (tolerate(['EINVAL', 'ENODEV'], look) ?? []).map(decodeFilter).filter((filter) => {
    const own = actionsOf(filter).at(-1)?.TCA_ACT_COOKIE
    if (placeOf(filter).priority !== meterPriority(spec) || own === undefined || toHex(own) !== cookie)
      return false
    return flowerOf(filter)?.TCA_FLOWER_KEY_ETH_DST === mac
  })
}

function macPolicerDifferences(spec: MacPolicer, stored: Tc): readonly string[] {
  const { place, options } = macPolicerRequest(spec)
  const asked = {
    tcm_ifindex: spec.ifindex,
    tcm_parent: stored.tcm_parent,
    tcm_info: filterInfo(place.priority, place.protocol),
    TCA_KIND: 'flower',
    TCA_OPTIONS: options,
  }
  const differences = compareEcho(asked, stored)
  return isInHardware(stored) ? differences : [...differences, 'in_hw: missing']
}

function macPolicerRequest(spec: MacPolicer): {
  readonly place: FilterPlace
  readonly options: Flower
} {
  const { ifindex, out, mac, vlan, family, limiter, cookie } = spec
  const own = fromHex(cookie)
  const { ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q } = ETH_P
  // The protocol of a tagged frame is the EtherType of its tag, so ETH_P_IP and ETH_P_IPV6 match untagged frames only.
  const untagged = family === undefined ? ETH_P_ALL : family === 4 ? ETH_P_IP : ETH_P_IPV6
  const protocol = vlan === undefined ? untagged : ETH_P_8021Q
  return {
    place: { ifindex, priority: meterPriority(spec), protocol },
    options: {
      ...(protocol === ETH_P_ALL ? {} : { TCA_FLOWER_KEY_ETH_TYPE: protocol }),
      ...(vlan === undefined ? {} : { TCA_FLOWER_KEY_VLAN_ID: vlan }),
      TCA_FLOWER_KEY_ETH_DST: mac,
      TCA_FLOWER_ACT: actionList([
        ...(vlan === undefined ? [] : [popVlan(own)]),
        // The shared policer gets no cookie here: the kernel would set the cookie on the policer itself.
        limitByIndex(limiter),
        redirectTo(out.ifindex, own),
      ]),
      TCA_FLOWER_FLAGS: TCA_CLS_FLAGS.TCA_CLS_FLAGS_SKIP_SW,
    },
  }
}
