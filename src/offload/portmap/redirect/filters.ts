/**
 * Filters that redirect and do nothing else, for NICs that rewrite no frame: between uplink and representor, both ways. A
 * request reaches the pod with the MAC that it came with, so the pod takes it by a table of its own (redirect/pod-mark.ts). An answer
 * leaves with the MAC of the VF. Pure.
 */
import { ipFamily, overlaps, parseCidr } from '../../../lib/ip.ts'
import type { FlowFilter, PortKey } from '../../../ops/op.ts'
import type { UplinkAttachment } from '../../port/port.ts'
import { filterPriority } from '../../state/identity.ts'
import type { OffloadFacts } from '../facts.ts'
import { on, type RuleGroup } from '../filters.ts'
import { isLoopback } from '../keys.ts'

/** The group in the form that needs no rewriting. Software can rewrite, and then nothing in the pod is needed. */
export function redirectAlone({ mapping, rules }: RuleGroup): RuleGroup {
  return { mapping, rules: rules.map(({ dstMac: _, srcMac: __, ...rule }) => rule), software: rules }
}

/**
 * Filters for the pod's own address and ports, one group for each port. They match nothing that a mapping's filters match, so
 * that their order does not count. In software the host's stack forwards these frames without any filter.
 */
export function directGroups(
  all: readonly PortKey[],
  subnets: readonly string[],
  facts: OffloadFacts,
  { uplink, representor }: UplinkAttachment,
  cookie: string,
): RuleGroup[] {
  if (representor === undefined) return []
  const far = subnets.filter((subnet) => !isNear(subnet, facts))
  const groups = new Map<string, FlowFilter[]>()
  const seen = new Set<string>()
  for (const { address: host, toAddress: address, proto, toPort: port } of all) {
    const target = `${proto} ${address} ${port}`
    if (isLoopback(host) || seen.has(target)) continue
    seen.add(target)
    const family = ipFamily(address)
    const prio = filterPriority[family === 4 ? 'direct4' : 'direct6']
    const pod = { prio, address, proto, port, fragments: 'none', cookie } as const
    const rules = far
      .filter((peer) => ipFamily(peer) === family)
      .flatMap((peer): FlowFilter[] => [
        { ...on(representor), out: on(uplink), ...pod, side: 'src', peer },
        { ...on(uplink), out: on(representor), ...pod, peer },
      ])
    const name = `direct traffic of ${proto} ${port}`
    if (rules.length > 0) groups.set(name, [...(groups.get(name) ?? []), ...rules])
  }
  return [...groups].map(([mapping, rules]) => ({ mapping, rules, software: [] }))
}

/**
 * True for a network with hosts that the pod reaches without a router: some of them may be the node and VFs of the same card,
 * whose frames a redirect to the wire would lose. Exceptions for them would have to come before it, by priority.
 */
export function isNear(
  subnet: string,
  { podAddresses, podRoutes, port, ownAddresses }: OffloadFacts,
): boolean {
  const family = ipFamily(subnet)
  const routes = podRoutes.filter(
    ({ ifindex, dst }) => ifindex === port.link?.ifindex && ipFamily(dst) === family,
  )
  const networks = [
    ...podAddresses.map(({ address }) => address),
    ...routes.flatMap(({ dst, gw }) => (gw === undefined ? [dst] : [])),
  ]
  const wanted = parseCidr(subnet)
  if (networks.some((one) => overlaps(parseCidr(one), wanted))) return true
  const routers = [...podAddresses.map(({ gateway }) => gateway), ...routes.map(({ gw }) => gw)]
  // The node is the router: what the pod sends is for the node's MAC.
  return routers.some((one) => one !== undefined && ownAddresses.has(one))
}
