/** What port mappings must know about the node beside the pod's port: addresses on both sides, and the pod's routes. */
import type { Result } from '../cni/result.ts'
import type { AddressFacts, RouteFacts, SourceRuleFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { ipFamily, parseCidr } from '../lib/ip.ts'
import type { PortMapping } from './config.ts'
import { nodeAddresses, uplinkAddresses } from './host-addresses.ts'
import type { Port } from './port.ts'
import { familiesOf, onlyWayIs } from './replies.ts'

/** An address of the node, and the VLAN in which the uplink carries it (0 = untagged). */
export interface HostAddress {
  readonly address: string
  readonly link: string
  readonly vlan: number
  /** Gone within a day or a week: for those who name it. */
  readonly temporary?: true
}

/** An address of the pod, with the gateway that prevResult names for it. */
export interface PodAddress {
  readonly ip: string
  /** CIDR form. */
  readonly address: string
  readonly gateway: string | undefined
}

/** Everything that a plan of port mappings goes by. */
export interface OffloadFacts {
  readonly port: Port
  /** Of the uplink and what is above it; of the whole node for a veth. */
  readonly hostAddresses: readonly HostAddress[]
  /** Every address that is the node's alone, on whichever interface: all but link-local ones, which others have too. */
  readonly ownAddresses: ReadonlySet<string>
  readonly podAddresses: readonly PodAddress[]
  readonly podRoutes: readonly RouteFacts[]
  /** Of the families in which replies may need a rule. */
  readonly podRules: readonly SourceRuleFacts[]
  /** Mappings whose port a program of the node serves at 127.0.0.1, and who it is. */
  readonly servedLocally?: ReadonlyMap<PortMapping, string>
}

/**
 * The pod's addresses on CNI_IFNAME: entries of prevResult whose interface is that one, or that name none (or one
 * that does not exist).
 */
export function podAddressesOf(result: Result, ifname: string): PodAddress[] {
  return (result.ips ?? []).flatMap((ip) => {
    const owner = ip.interface === undefined ? undefined : result.interfaces?.[ip.interface]
    if (owner !== undefined && (owner.name !== ifname || (owner.sandbox ?? '') === '')) return []
    const { ip: address } = parseCidr(ip.address)
    return [{ ip: address, address: ip.address, gateway: ip.gateway }]
  })
}

/** RT_SCOPE_LINK, linux/rtnetlink.h. */
const scopeLink = 253

function isOfNode({ scope }: AddressFacts): boolean {
  return scope !== scopeLink
}

/** Asks the kernel for what concerns this kind of port. */
export function readOffloadFacts(
  kernel: Kernel,
  port: Port,
  podAddresses: readonly PodAddress[],
): OffloadFacts {
  const { wire } = port
  const onHost = kernel.addresses('host')
  const hostAddresses =
    wire === undefined ? nodeAddresses(kernel, onHost) : uplinkAddresses(kernel, wire.uplink, onHost)
  const ownAddresses = new Set(onHost.filter(isOfNode).map(({ address }) => parseCidr(address).ip))
  if (wire === undefined || port.link === undefined)
    return { port, hostAddresses, ownAddresses, podAddresses, podRoutes: [], podRules: [] }
  const { link } = port
  const podRoutes = kernel.routes('pod')
  const podRules = familiesOf(podAddresses).flatMap((family) => {
    const routes = podRoutes.filter(({ dst }) => ipFamily(dst) === family)
    return onlyWayIs(routes, link) ? [] : kernel.sourceRules('pod', family)
  })
  return { port, hostAddresses, ownAddresses, podAddresses, podRoutes, podRules }
}
