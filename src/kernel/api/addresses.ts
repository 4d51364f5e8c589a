/** Addresses, routes and policy rules of both sides. */
import type { RouteSpec, RuleSpec, Side } from '../../ops/op.ts'
import type { AddressFacts, LinkFacts, RouteFacts, SourceRuleFacts } from './facts.ts'

/** Questions about addressing, and the removals that a DEL without plan needs. */
export interface AddressKernel {
  /** Addresses on the interface with `ifindex`, or on all. */
  addresses(side: Side, ifindex?: number): readonly AddressFacts[]
  /**
   * Addresses of the host in these families, without those that mean nothing beyond their link: a node has one of IPv6 on the
   * host's end of every pod.
   */
  nodeAddresses(families: readonly (4 | 6)[]): readonly AddressFacts[]
  /** Unicast routes of both families in every table; in `table` alone, where it is given, or EOVERFLOW if there are too many to read. */
  routes(side: Side, table?: number): readonly RouteFacts[]
  /** True when the main table has a default route of a family by this interface; undefined when it has too many routes to tell. */
  hasDefaultRoute(side: Side, family: 4 | 6, ifindex: number): boolean | undefined
  /** The host's interface by which it reaches `address`; undefined when it has no route. */
  interfaceTo(address: string): LinkFacts | undefined
  /** Policy rules of a family that go by the source address alone, or EOVERFLOW if there are too many to read. */
  sourceRules(side: Side, family: 4 | 6): readonly SourceRuleFacts[]
  /** Removes these policy rules and routes from the pod, by table and not by interface; succeeds when they are gone. Reads nothing. */
  removeReplies(rules: readonly RuleSpec[], routes: readonly RouteSpec[]): void
  /**
   * Removes the policy rules to `table` and the routes in it, as far as they can be ours, from the pod; succeeds when there are
   * none.
   */
  removeTable(table: number, priority: number): void
}
