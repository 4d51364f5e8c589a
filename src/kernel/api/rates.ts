/** Rate limits: shapers, redirects through an ifb, policers, and rates of devlink ports. */
import type { Op, Side } from '../../ops/op.ts'
import type { FilterCounters, Passed } from './counters.ts'
import type { PortRateFacts, SharedPolicerFacts } from './facts.ts'

/** Questions about rate limits, and the removals that a DEL without plan needs. They succeed when there is nothing. */
export interface RateKernel {
  /** Handle of the tbf of ours at the root of an interface, of whichever attachment; undefined when there is none. */
  shapedBy(side: Side, ifindex: number): number | undefined
  /**
   * Removes the tbf of the limit with this cookie from the root of an interface, and no other's. Without a cookie: one that a version
   * before has made, which marked none.
   */
  removeShaper(side: Side, ifindex: number, cookie: string | undefined): void
  /** Removes the ifb of that name; another kind of interface stays. */
  removeIfb(side: Side, name: string): void
  /** Policers that filters share whose cookie starts with `cookiePrefix` (hex). */
  limiters(cookiePrefix: string): readonly SharedPolicerFacts[]
  /** Those of the policers with these indexes that have this cookie (hex): each is asked for, and no dump. */
  limitersAt(indexes: readonly number[], cookie: string): readonly SharedPolicerFacts[]
  /** The indexes from `first` on that policers of the host have, whoever made them, up to the first free one. */
  takenPolicers(first: number): readonly number[]
  /** EPERM while filters use it. */
  removeSharedPolicer(index: number): void
  /** Rates of the devlink port behind a host interface; undefined where driver or kernel have none. */
  portRates(ifindex: number): PortRateFacts | undefined
  /** The same by the port's handle. */
  ratesOfPort(handle: string): PortRateFacts | undefined
}

/** Packets: those that a shaper sent on, that came to a policer, that left an ifb, that a filter matched. */
export interface LimitCounters extends FilterCounters {
  /** Packets that went nowhere; of a policer they are among those that came. */
  readonly dropped: bigint
  /** Packets that a policer let through. */
  readonly conformed?: bigint
  /** Number of times that a shaper had to wait. */
  readonly overLimit?: bigint
  /** Packets that wait in a shaper now. */
  readonly waiting?: Passed
}

/** The rate that a VF or a devlink port is set to, in bit/s, 0 = none. Nobody counts there, so that the setting is read back. */
export interface RateSetting {
  readonly kind: 'setting'
  readonly wanted: number
  /** undefined: it can't be read. */
  readonly now: number | undefined
}

/** Counters of a qdisc, filter, policer or ifb of a limit; undefined: it is not there. */
export interface RateCounters {
  readonly kind: 'counters'
  readonly counters: LimitCounters | undefined
}

/** The part of the kernel that limits rates. */
export interface LimitKernel {
  /** Loads the code for rate limits. */
  rates(): RateKernel
  /**
   * The counters or the setting that show an operation; undefined for a kind that has neither (kernel/inspect/measure.ts has the
   * reason). `isThere`: false for a thing in a pod that is gone, of which nothing is asked.
   */
  measure(op: Op, isThere: boolean): RateCounters | RateSetting | undefined
}
