/** Filters of tc, ours and those of others, and the qdisc that they hang on. */
import type { Classifier, FlowFilter, Side } from '../../ops/op.ts'
import type { FilterCounters } from './counters.ts'
import type { LinkFacts } from './facts.ts'

/** A place where filters of ours may be: an interface, or some priorities of it. */
export interface OwnPlace {
  readonly ifindex: number
  readonly priorities?: readonly number[]
}

/** The place of a filter of ours, now or before. */
export interface PlacedFilter {
  readonly ifindex: number
  readonly prio: number
  readonly handle: number
  readonly protocol: number
  /** TCA_KIND. */
  readonly kind: 'flower' | Classifier
  readonly cookie: string
}

/** One filter of ours that a look found. */
export interface OwnFilter extends PlacedFilter {
  /** It is the last filter of its slot, and goes with that: by itself it would leave a hash table. */
  readonly withSlot?: boolean
  /** As tc prints them: packets and bytes that ran through, software and hardware. */
  readonly packets: bigint
  readonly inHw: boolean
}

/** A program or a foreign filter that may take frames before our filters see them. */
export interface Conflict {
  /** For people: `tcx program 12 "from_netdev"`, or a filter as a `tc` line. */
  readonly name: string
  readonly hook: 'XDP' | 'tcx' | 'filter'
  /** `software`: takes frames from filters in software. `hardware`: from filters in the NIC. A filter in the NIC can do both. */
  readonly software: boolean
  readonly hardware: boolean
  /**
   * True when the conflict takes frames of ours, as far as can be known. False when its match cannot be read and such a program or
   * filter usually passes most frames.
   */
  readonly certain: boolean
}

/** The priority of a filter of ours that matches every frame. */
export interface EveryFrame {
  readonly everyFrameAt: number
}

/** A filter by the spec that made it, and its handle. */
export interface CountedRule {
  readonly rule: FlowFilter
  readonly handle?: number | undefined
}

/** State of an interface's guard against 127.0.0.0/8. */
export interface GuardFacts {
  /** A clsact or ingress qdisc, whoever made it. */
  readonly qdisc: boolean
  /** Programs on its tcx hook, which run before all filters. */
  readonly tcx: boolean
  readonly guard: boolean
}

/** Questions about filters, and the removals that a DEL without plan needs. */
export interface FilterKernel {
  /**
   * Filters on clsact or ingress of any interface of a side (`host` by default), or in `places`, whose action
   * cookie starts with `cookiePrefix` (hex), or with one of several. A dump proves presence, never absence: the kernel can
   * leave entries out when filters change meanwhile.
   */
  ownFilters(
    cookiePrefix: string | readonly string[],
    side?: Side,
    places?: readonly OwnPlace[],
  ): readonly OwnFilter[]
  /** Those of the host's filters that are there, each asked for by place and number: the others are gone, or another's now. */
  placedFilters(filters: readonly PlacedFilter[]): readonly OwnFilter[]
  /** Removes filters that a dump showed; succeeds when they are gone. */
  removeFilters(filters: readonly OwnFilter[], side?: Side): void
  /** Counters of each of these filters; undefined for one that is not there. */
  filterCounters(rules: readonly CountedRule[]): readonly (FilterCounters | undefined)[]
  /** Those who may take frames that `link` receives from filters of ours, which are to be there, before they see them. */
  conflicts(
    link: LinkFacts,
    specs: readonly FlowFilter[] | EveryFrame,
    ownPrefix: string,
  ): readonly Conflict[]
  /** State of a host interface's guard against 127.0.0.0/8 from outside. */
  guardFacts(ifindex: number): GuardFacts
  /** True when the interface (of the host by default) has a clsact or ingress qdisc. */
  hasIngress(ifindex: number, side?: Side): boolean
  /**
   * Removes an interface's clsact if no filter is left on it. The caller knows whether it is ours. False when it stays; a qdisc `ingress`
   * counts as one.
   */
  dropEmptyClsact(ifindex: number): boolean
}
