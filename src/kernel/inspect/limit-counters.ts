/** What has passed through the things that a rate limit is made of, hardware and software apart. */

import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Action } from '../../netlink/tc/actions/action.ts'
import { actionsOf, isInHardware } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'
import { countersOf, queueOf } from '../../netlink/tc/stats.ts'
import { ratePriority } from '../../ops/marks/rate-numbers.ts'
import type { Op } from '../../ops/op.ts'
import type { LimitCounters } from '../api/rates.ts'
import { findLink } from '../link/links.ts'
import { findEveryFrame } from '../tc/matchall-filters.ts'
import type { Sides } from '../tc/rate-operations.ts'
import { findShaper } from '../tc/shapers.ts'
import { metersOf, policerOf } from '../tc/shared-policers.ts'
import { apart, linkCounters } from './counters.ts'

/** Counters of what an operation on a limit has made; undefined when it is not there, or counts nothing. */
export function limitCounters({ route }: Pick<Sides, 'route'>, op: Op): LimitCounters | undefined {
  switch (op.do) {
    case 'shaper.add': {
      const { side, link, ifindex, cookie } = op.shaper
      return at(route(side), link, ifindex, (socket, index) =>
        shaperCounters(findShaper(socket, index, cookie)),
      )
    }
    case 'ifb.add': {
      const counted = linkCounters(route(op.side), op.name)
      return counted && { ...inSoftware, software: counted.sent, dropped: counted.dropped }
    }
    case 'detour.add': {
      const { side, link, ifindex, cookie } = op.detour
      return at(route(side), link, ifindex, (socket, index) =>
        filterCounters(findEveryFrame(socket, index, ratePriority.detour, cookie)),
      )
    }
    case 'police.add': {
      const { link, ifindex, cookie } = op.police
      return at(route('host'), link, ifindex, (socket, index) =>
        filterCounters(findEveryFrame(socket, index, ratePriority.police, cookie)),
      )
    }
    case 'limiter.add': {
      const action = policerOf(route('host'), op.limiter.index)
      return action && actionCounters(action, (action.TCA_ACT_IN_HW_COUNT ?? 0) > 0)
    }
    case 'meter.add':
      return filterCounters(metersOf(route('host'), op.meter)[0])
    default:
      return undefined
  }
}

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
