/** Operations on addresses, routes, policy rules, neighbours and the settings that belong to them. */
import type { Side } from './common.ts'

/** A route; addresses as text, `dst` in CIDR form. `table` absent = main. `metric` = RTA_PRIORITY. */
export interface RouteSpec {
  readonly dst: string
  readonly gw?: string
  readonly link: string
  /** Its number, where it is known: a name in a pod is the pod's to give. */
  readonly ifindex?: number
  readonly table?: number
  readonly scope?: number
  readonly metric?: number
  readonly mtu?: number
  readonly advmss?: number
  readonly src?: string
  readonly onlink?: boolean
}

/** `ip rule from SRC lookup TABLE`. */
export interface RuleSpec {
  readonly src: string
  readonly table: number
  readonly priority: number
}

/**
 * Tells neighbours where `addresses` are now, `count` times, `intervalMs` apart, after waiting for the carrier for
 * `carrierMs` at most (milliseconds). 0 times: nothing is sent. Without carrier nothing is sent either.
 */
export interface Announce {
  readonly do: 'announce'
  readonly link: string
  /** Its number, where it is known. */
  readonly ifindex?: number
  readonly mac: string
  readonly addresses: readonly string[]
  readonly count: number
  readonly intervalMs: number
  readonly carrierMs: number
}

/** An operation on addressing. */
export type AddressOp =
  | { do: 'addr.add' | 'addr.del'; side: Side; link: string; ifindex?: number; address: string }
  | { do: 'route.add' | 'route.del'; side: Side; route: RouteSpec }
  | { do: 'rule.add' | 'rule.del'; side: Side; rule: RuleSpec }
  /** `mayFail`: kernels without the setting do without it. */
  | { do: 'sysctl.set'; side: Side; key: string; value: string; was: string; mayFail?: boolean }
  /**
   * Has the kernel ask for a neighbour (NTF_USE). For an address of the interface's own the question is a gratuitous
   * ARP request, which the kernel repeats every second, three times, while we are gone (mcast_solicit, retrans_time_ms).
   */
  | { do: 'neigh.use'; side: Side; link: string; ifindex?: number; address: string }
  | Announce
