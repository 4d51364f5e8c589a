/** Counters of the things that a rate limit is made of, hardware and software apart. */

import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Action } from '../../netlink/tc/actions/action.ts'
import { actionsOf, isInHardware } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'
import { countersOf, queueOf } from '../../netlink/tc/stats.ts'
import { ratePriority } from '../../ops/marks/rate-numbers.ts'
import type { OpKind, OpOf, RateOp, Side } from '../../ops/op.ts'
import type { LinkKernel } from '../api/links.ts'
import type { LimitCounters, RateKernel, RateSetting } from '../api/rates.ts'
import { findLink } from '../link/links.ts'
import { findEveryFrame } from '../tc/matchall-filters.ts'
import { findShaper } from '../tc/shapers.ts'
import { macPolicersOf, policerOf } from '../tc/shared-policers.ts'
import { apart, linkCounters } from './counters.ts'

/** Ways to the two sides. */
export interface CountingReach extends Pick<LinkKernel, 'link'> {
  route(side: Side): NetlinkSocket
  rates(): Pick<RateKernel, 'ratesOfPort'>
}

/**
 * The counters or the setting that show the work of one kind of operation, or the reason why it has neither. Counters are undefined
 * for a thing that is not there.
 */
export type Gauge<K extends OpKind> =
  | { readonly counters: (reach: CountingReach, op: OpOf<K>) => LimitCounters | undefined }
  | { readonly setting: (reach: CountingReach, op: OpOf<K>) => Omit<RateSetting, 'kind'> }
  | { readonly uncounted: string }

/** An entry for each of these kinds. */
export type Gauges<K extends OpKind> = { readonly [One in K]: Gauge<One> }

/** For the kinds that take something away. */
export const removal = { uncounted: 'the thing is gone, and its counters with it' } as const

/** Rate limits. */
export const rateGauges: Gauges<RateOp['do']> = {
  'shaper.add': {
    counters: ({ route }, { shaper: { side, link, ifindex, cookie } }) =>
      at(route(side), link, ifindex, (socket, index) => shaperCounters(findShaper(socket, index, cookie))),
  },
  'shaper.del': removal,
  'ifb.add': {
    counters: ({ route }, { side, name }) => {
      const counted = linkCounters(route(side), name)
      return counted && { ...inSoftware, software: counted.sent, dropped: counted.dropped }
    },
  },
  'ifb.del': removal,
  'detour.add': {
    counters: ({ route }, { detour: { side, link, ifindex, cookie } }) =>
      at(route(side), link, ifindex, (socket, index) =>
        filterCounters(findEveryFrame(socket, index, ratePriority.detour, cookie)),
      ),
  },
  'detour.del': removal,
  'police.add': {
    counters: ({ route }, { police: { link, ifindex, cookie } }) =>
      at(route('host'), link, ifindex, (socket, index) =>
        filterCounters(findEveryFrame(socket, index, ratePriority.police, cookie)),
      ),
  },
  'police.del': removal,
  'limiter.add': {
    counters: ({ route }, { limiter }) => {
      const action = policerOf(route('host'), limiter.index)
      return action && actionCounters(action, (action.TCA_ACT_IN_HW_COUNT ?? 0) > 0)
    },
  },
  'limiter.del': removal,
  'meter.add': { counters: ({ route }, { meter }) => filterCounters(macPolicersOf(route('host'), meter)[0]) },
  'meter.del': removal,
  'devlink.rate.set': {
    setting: ({ rates }, { handle, set }) => {
      const now = rates().ratesOfPort(handle)?.max
      return { wanted: set.max * 8, now: now === undefined ? undefined : now * 8 }
    },
  },
}

/** The rate of a VF. */
export const vfGauge: Gauge<'vf.set'> = {
  setting: ({ link }, { pf, vf, set }) => {
    const now = link('host', pf, { vfs: true })?.vfs?.get(vf)?.rate?.max
    return { wanted: (set.rate?.max ?? 0) * megabit, now: now === undefined ? undefined : now * megabit }
  },
}

/** Rates of VFs are in Mbit/s. */
const megabit = 1_000_000

const none = { packets: 0n, bytes: 0n }
const inSoftware = { inHw: false, hardware: none } as const

/** By its number where that is known: a name may be another one by now. */
function at(
  socket: NetlinkSocket,
  link: string,
  ifindex: number | undefined,
  look: (socket: NetlinkSocket, ifindex: number) => LimitCounters | undefined,
): LimitCounters | undefined {
  const index = ifindex ?? findLink(socket, link)?.ifindex
  return index === undefined ? undefined : look(socket, index)
}

function shaperCounters(qdisc: Tc | undefined): LimitCounters | undefined {
  if (qdisc === undefined) return undefined
  const stats = qdisc.TCA_STATS2 ?? []
  const { drops = 0, overlimits = 0, qlen = 0, backlog = 0 } = queueOf(stats) ?? {}
  return {
    ...inSoftware,
    software: apart(stats).software,
    ...{ dropped: BigInt(drops), overLimit: BigInt(overlimits) },
    waiting: { packets: BigInt(qlen), bytes: BigInt(backlog) },
  }
}

/** The last action: the one of those that have only one, and the way out of the others. */
function filterCounters(filter: Tc | undefined): LimitCounters | undefined {
  const action = filter && actionsOf(filter).at(-1)
  return action && actionCounters(action, isInHardware(filter))
}

function actionCounters(action: Action, inHw: boolean): LimitCounters {
  const stats = action.TCA_ACT_STATS ?? []
  const { all, drops } = countersOf(stats)
  const dropped = BigInt(drops)
  const counted = { inHw, ...apart(stats), dropped }
  return action.TCA_ACT_KIND === 'police' ? { ...counted, conformed: all.packets - dropped } : counted
}
