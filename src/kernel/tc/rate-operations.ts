/** The operations on rates and the questions about them, for the kernel's two sides. tc/matchall-filters.ts, tc/shared-policers.ts, tc/devlink-rates.ts and tc/shapers.ts have what each does. */

import { ratePriority } from '../../ops/marks/rate-numbers.ts'
import type {
  IfbRedirect,
  MacPolicer,
  OpOf,
  Outcome,
  PoliceSpec,
  RateOp,
  SharedPolicer,
  Side,
} from '../../ops/op.ts'
import type { ShaperFacts } from '../api/facts.ts'
import type { RateKernel } from '../api/rates.ts'
import type { Sides } from '../link/sides.ts'
import { portRatesOf, ratesOfPort, setPortRates } from './devlink-rates.ts'
import {
  addIfbRedirect,
  addPolice,
  ifbRedirectDifferences,
  policeDifferences,
  removeEveryFrame,
} from './matchall-filters.ts'
import { addIfb, addShaper, removeIfb, removeShaper, shapedBy, shaperOn } from './shapers.ts'
import {
  addMacPolicer,
  addSharedPolicer,
  hasMacPolicer,
  removeMacPolicer,
  removeSharedPolicer,
  sharedPolicerDifferences,
  sharedPolicersAt,
  sharedPolicersOf,
  takenPolicers,
} from './shared-policers.ts'

/** Carries out an operation of one kind. */
type Run<K extends RateOp['do']> = (sides: Sides, op: OpOf<K>) => Outcome

/** A kind without an entry does not compile. */
const runs: { readonly [K in RateOp['do']]: Run<K> } = {
  'shaper.add': (sides, { shaper }) => {
    addShaper(sides.route(shaper.side), at(sides, shaper), shaper)
    return {}
  },
  'shaper.del': (sides, { shaper }) => {
    removeShaper(sides.route(shaper.side), at(sides, shaper), shaper.cookie)
    return {}
  },
  'ifb.add': ({ route }, op) => {
    addIfb(route(op.side), op)
    return {}
  },
  'ifb.del': ({ route, forget }, op) => {
    removeIfb(route(op.side), op.name)
    forget()
    return {}
  },
  'detour.add': (sides, { detour }) => {
    const { side, through } = detour
    return addIfbRedirect(sides.route(side), at(sides, detour), sides.indexOf(side, through), detour)
  },
  'detour.del': (sides, { detour }) => {
    removeEveryFrame(sides.route(detour.side), at(sides, detour), ratePriority.detour, detour.cookie)
    return {}
  },
  'police.add': (sides, { police, offload }) =>
    addPolice(sides.route('host'), at(sides, police), police, offload),
  'police.del': (sides, { police }) => {
    removeEveryFrame(sides.route('host'), at(sides, police), ratePriority.police, police.cookie)
    return {}
  },
  'limiter.add': ({ route }, { limiter, offload }) => addSharedPolicer(route('host'), limiter, offload),
  'limiter.del': ({ route }, { limiter }) => {
    removeSharedPolicer(route('host'), limiter.index)
    return {}
  },
  'meter.add': ({ route }, { meter }) => addMacPolicer(route('host'), meter),
  'meter.del': ({ route }, { meter }) => {
    removeMacPolicer(route('host'), meter)
    return {}
  },
  'devlink.rate.set': ({ generic }, op) => {
    setPortRates(generic(), op.handle, op.set, op.now ?? op.was)
    return {}
  },
}

/** Carries out one operation. */
export function runRateOp(sides: Sides, op: RateOp): Outcome {
  // The entry of a kind takes the operations of that kind.
  return (runs[op.do] as unknown as Run<RateOp['do']>)(sides, op)
}

/** By its number where that is known: a name may be another one by now. */
function at(
  { indexOf }: Sides,
  {
    side = 'host',
    link,
    ifindex,
  }: { readonly side?: Side; readonly link: string; readonly ifindex?: number },
): number {
  return ifindex ?? indexOf(side, link)
}

/** The questions, and the removals that a DEL without plan needs. */
export function rateKernel({
  route,
  generic,
  background,
}: Pick<Sides, 'route' | 'generic' | 'background'>): RateKernel {
  return {
    shapedBy: (side, ifindex) => shapedBy(route(side), ifindex),
    removeShaper: (side, ifindex, cookie) => removeShaper(route(side), ifindex, cookie),
    removeIfb: (side, name) => removeIfb(route(side), name, side === 'host' ? background() : undefined),
    limitersAt: (indexes, cookie) => sharedPolicersAt(route('host'), indexes, cookie),
    limiters: (cookie) => sharedPolicersOf(route('host'), cookie),
    takenPolicers: (first) => takenPolicers(route('host'), first),
    removeSharedPolicer: (index) => removeSharedPolicer(route('host'), index),
    portRates: (ifindex) => portRatesOf(route('host'), generic(), ifindex),
    ratesOfPort: (handle) => ratesOfPort(generic(), handle),
  }
}

/** Looks of CHECK at the things that limits are made of. */
export interface RateLooks {
  /**
   * The tbf of the limit with this cookie at the root of an interface; undefined when it has none, or another's. Without a
   * cookie: one that a version before has made, which marked none.
   */
  shaper(side: Side, ifindex: number, cookie: string | undefined): ShaperFacts | undefined
  /** Differences of a redirect through the interface `through` from its spec; undefined when `ifindex` has no filter of ours. */
  detourDifferences(ifindex: number, through: number, spec: IfbRedirect): readonly string[] | undefined
  /** The same of a policer in the NIC. */
  policeDifferences(ifindex: number, spec: PoliceSpec): readonly string[] | undefined
  /** True when the filter is there as it was asked for, in the NIC. */
  meter(spec: MacPolicer): boolean
  /** Differences in the NIC of a policer that filters share from its spec; none for one that is gone. */
  limiterDifferences(spec: SharedPolicer): readonly string[]
}

/** The looks of CHECK. */
export function rateLooks({ route }: Pick<Sides, 'route'>): RateLooks {
  return {
    shaper: (side, ifindex, cookie) => shaperOn(route(side), ifindex, cookie),
    meter: (spec) => hasMacPolicer(route('host'), spec),
    detourDifferences: (ifindex, through, spec) =>
      ifbRedirectDifferences(route(spec.side), ifindex, through, spec),
    policeDifferences: (ifindex, spec) => policeDifferences(route('host'), ifindex, spec),
    limiterDifferences: (spec) => sharedPolicerDifferences(route('host'), spec),
  }
}
