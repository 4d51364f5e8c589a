/**
 * Uses of interfaces by the host itself: default routes of either family, membership in a bond, bridge, team or Open vSwitch, and
 * the node's addresses, also by interfaces that lie on top (a VLAN, a bridge, a bond). Pure.
 *
 * The node's addresses are those that Kubernetes knows. Where nobody says them, they are the addresses of the interfaces that have
 * a default route. Any other address is no sign of use: a VF that waits for a pod has one as soon as a router announces itself.
 */

import type { DefaultRoute, InterfaceAddress, NetworkLink } from '../../src/kernel/api/network-facts.ts'
import { tryParseIp } from '../../src/lib/ip.ts'

/** The facts that tell of uses. */
export interface HostFacts {
  readonly links: readonly NetworkLink[]
  readonly routes: readonly DefaultRoute[]
  readonly addresses: readonly InterfaceAddress[]
  /** See above; undefined: nobody says them. */
  readonly nodeAddresses: readonly string[] | undefined
}

/** Masters that use their ports for the host (IFLA_INFO_SLAVE_KIND), in words. A VRF only chooses a routing table. */
const masters: Readonly<Record<string, string>> = {
  bond: 'bond',
  bridge: 'bridge',
  team: 'team',
  openvswitch: 'Open vSwitch datapath',
}

/** Kinds whose IFLA_LINK is the other end of a pair, not an interface below. */
const pairs: ReadonlySet<string> = new Set(['veth', 'netkit'])

/** Returns the function that gives the uses of interfaces, as sentences without a subject. */
export function hostUsesOf(facts: HostFacts): (links: readonly NetworkLink[]) => string[] {
  const byIndex = new Map(facts.links.map((link) => [link.ifindex, link]))
  const uppers = uppersOf(facts.links, byIndex)
  const own = ownUses(facts, byIndex)
  return (links) => [...new Set(links.flatMap((link) => usesOf(link, uppers, own)))]
}

/** The uses of one interface, and of all that lies on it. */
function usesOf(
  link: NetworkLink,
  uppers: ReadonlyMap<number, readonly NetworkLink[]>,
  own: ReadonlyMap<number, readonly string[]>,
): string[] {
  const seen = new Set([link.ifindex])
  const queue: NetworkLink[] = [link]
  const found: string[] = []
  for (const one of queue) {
    const place = one === link ? '' : `, which lies on ${link.name}`
    for (const use of own.get(one.ifindex) ?? []) found.push(`${use} by ${one.name}${place}`)
    for (const upper of uppers.get(one.ifindex) ?? []) {
      if (seen.has(upper.ifindex)) continue
      seen.add(upper.ifindex)
      queue.push(upper)
    }
  }
  return found
}

/** Masters, and what lies on an interface, by its number. */
function uppersOf(
  links: readonly NetworkLink[],
  byIndex: ReadonlyMap<number, NetworkLink>,
): ReadonlyMap<number, readonly NetworkLink[]> {
  const uppers = new Map<number, NetworkLink[]>()
  const add = (lower: number, upper: NetworkLink) => uppers.set(lower, [...(uppers.get(lower) ?? []), upper])
  for (const link of links) {
    const master = link.master === undefined ? undefined : byIndex.get(link.master)
    if (master !== undefined) add(link.ifindex, master)
    const liesOn = link.lowerNetns === undefined && !pairs.has(link.kind ?? '') ? link.lower : undefined
    if (liesOn !== undefined && liesOn !== link.ifindex) add(liesOn, link)
  }
  return uppers
}

/** The uses of each interface by itself. */
function ownUses(
  { links, routes, addresses, nodeAddresses }: HostFacts,
  byIndex: ReadonlyMap<number, NetworkLink>,
): ReadonlyMap<number, readonly string[]> {
  const uses = new Map<number, string[]>()
  const add = (ifindex: number, use: string) => uses.set(ifindex, [...(uses.get(ifindex) ?? []), use])
  for (const { family, ifindex } of routes) add(ifindex, `has the default route of IPv${family}`)
  const routed = new Set(routes.map(({ ifindex }) => ifindex))
  const nodes = new Set<string>(
    nodeAddresses?.map((text) => tryParseIp(text) ?? text) ??
      addresses.filter(({ ifindex }) => routed.has(ifindex)).map(({ address }) => address),
  )
  for (const { ifindex, address } of addresses)
    if (nodes.has(address)) add(ifindex, `has the node's address ${address}`)
  for (const link of links) {
    const word = masters[link.slaveKind ?? '']
    const master = link.master === undefined ? undefined : byIndex.get(link.master)
    if (word !== undefined) add(link.ifindex, `is a port of the ${word} ${master?.name ?? ''}`.trimEnd())
  }
  return uses
}
