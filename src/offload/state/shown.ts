/** The counters of an attachment's mappings and limits, for `vfctl show`: plain values. */
import type { FilterCounters } from '../../kernel/api/counters.ts'
import type { RateCounters, RateSetting } from '../../kernel/api/rates.ts'
import type { ReportedLimit, ReportedMapping, ReportedRule } from './report.ts'

/** A mapping, with its keys in the host's nftables: all of them for a pod behind a veth, for others those that no filter takes. */
export interface ShownMapping extends Pick<ReportedMapping, 'mapping' | 'served' | 'redirectAlone'> {
  readonly host: readonly ServedByHost[]
}

/** An address and port of the node in the host's port map. */
export interface ServedByHost {
  /** `10.1.0.1:80 -> 10.2.0.5:80` */
  readonly line: string
  readonly isThere: boolean
  /** Connections that it has led to the pod; absent where the map does not count. */
  readonly connections?: bigint
}

/** A filter with its counters; undefined: the filter is not there any more. */
export interface ShownRule {
  readonly mapping: string
  /** Of frames to the pod, or from it. */
  readonly direction: 'to' | 'from'
  readonly line: string
  readonly where: 'nic' | 'host'
  readonly refusal?: string
  readonly delivery?: ReportedRule['delivery']
  readonly counters: FilterCounters | undefined
}

/** A limit with the things of which it is made. */
export interface ShownLimit extends ReportedLimit {
  readonly parts: readonly LimitPart[]
}

/** A thing of which a limit is made, or a rate that is set, with the command that makes it. */
export type LimitPart = (RateCounters | RateSetting) & { readonly line: string }

/** The sections that features fill in. */
export interface ShownSections {
  /** Mappings, with the node addresses that they are served on. */
  readonly mappings: readonly ShownMapping[]
  readonly rules: readonly ShownRule[]
  readonly limits: readonly ShownLimit[]
}
