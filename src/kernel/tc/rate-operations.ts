/** The operations on rates and the questions about them, for the kernel's two sides. tc/matchall-filters.ts, tc/shared-policers.ts, tc/devlink-rates.ts and tc/shapers.ts have what each does. */

import type { NetlinkSocket } from '../../netlink/socket.ts'
import { ratePriority } from '../../ops/marks/rate-numbers.ts'
import type { Op, Outcome, Side } from '../../ops/op.ts'
import type { RateKernel } from '../api/rates.ts'
import { portRatesOf, ratesOfPort, setPortRates } from './devlink-rates.ts'
import {
  addIfbRedirect,
  addPolice,
  detourDifferences,
  policeDifferences,
  removeEveryFrame,
} from './matchall-filters.ts'
import { addIfb, addShaper, removeIfb, removeShaper, shapedBy, shaperOn } from './shapers.ts'
import {
  addMacPolicer,
  addSharedPolicer,
  limiterDifferences,
  limitersAt,
  limitersOf,
  meterOn,
  policerIndexes,
  removeMacPolicer,
  removeSharedPolicer,
} from './shared-policers.ts'

type RateKind = 'shaper' | 'ifb' | 'detour' | 'police' | 'limiter' | 'meter'
/** An operation on a rate limit. */
export type RateOp = Extract<Op, { do: `${RateKind}.${'add' | 'del'}` | 'devlink.rate.set' }>

/** The sockets of the two sides, and the number of an interface by its name. */
export interface Sides {
  readonly route: (side: Side) => NetlinkSocket
  readonly generic: () => NetlinkSocket
  readonly indexOf: (side: Side, name: string) => number
  /** Forgets numbers that were looked up: a name may belong to another interface now. */
  readonly forget: () => void
}

/** Carries out one operation. */
export function runRateOp({ route, generic, indexOf, forget }: Sides, op: RateOp): Outcome {
  const at = ({ side = 'host', link, ifindex }: { side?: Side; link: string; ifindex?: number }) =>
    ifindex ?? indexOf(side, link)
  switch (op.do) {
    case 'shaper.add':
      addShaper(route(op.shaper.side), at(op.shaper), op.shaper)
      return {}
    case 'shaper.del':
      removeShaper(route(op.shaper.side), at(op.shaper), op.shaper.cookie)
      return {}
    case 'ifb.add':
      addIfb(route(op.side), op)
      return {}
    case 'ifb.del':
      removeIfb(route(op.side), op.name)
      forget()
      return {}
    case 'detour.add': {
      const { side, through } = op.detour
      return addIfbRedirect(route(side), at(op.detour), indexOf(side, through), op.detour)
    }
    case 'detour.del': {
      const { side, cookie } = op.detour
      removeEveryFrame(route(side), at(op.detour), ratePriority.detour, cookie)
      return {}
    }
    case 'police.add':
      return addPolice(route('host'), at(op.police), op.police, op.offload)
    case 'police.del': {
      const { cookie } = op.police
      removeEveryFrame(route('host'), at(op.police), ratePriority.police, cookie)
      return {}
    }
    case 'limiter.add':
      return addSharedPolicer(route('host'), op.limiter, op.offload)
    case 'limiter.del':
      removeSharedPolicer(route('host'), op.limiter.index)
      return {}
    case 'meter.add':
      return addMacPolicer(route('host'), op.meter)
    case 'meter.del':
      removeMacPolicer(route('host'), op.meter)
      return {}
    case 'devlink.rate.set':
      setPortRates(generic(), op.handle, op.set, op.now ?? op.was)
      return {}
  }
}

/** The questions, and the removals that a DEL without plan needs. */
export function rateKernel({ route, generic }: Sides): RateKernel {
  return {
    shaper: (side, ifindex, cookie) => shaperOn(route(side), ifindex, cookie),
    shapedBy: (side, ifindex) => shapedBy(route(side), ifindex),
    removeShaper: (side, ifindex, cookie) => removeShaper(route(side), ifindex, cookie),
    meter: (spec) => meterOn(route('host'), spec),
    detourDifferences: (ifindex, through, spec) =>
      detourDifferences(route(spec.side), ifindex, through, spec),
    policeDifferences: (ifindex, spec) => policeDifferences(route('host'), ifindex, spec),
    limiterDifferences: (spec) => limiterDifferences(route('host'), spec),
    removeIfb: (side, name) => removeIfb(route(side), name),
    limitersAt: (indexes, cookie) => limitersAt(route('host'), indexes, cookie),
    limiters: (cookie) => limitersOf(route('host'), cookie),
    policerIndexes: () => policerIndexes(route('host')),
    removeSharedPolicer: (index) => removeSharedPolicer(route('host'), index),
    portRates: (ifindex) => portRatesOf(route('host'), generic(), ifindex),
    ratesOfPort: (handle) => ratesOfPort(generic(), handle),
  }
}
