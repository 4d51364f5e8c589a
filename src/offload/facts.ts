/** What port mappings must know about the node beside the pod's port: addresses on both sides, and the pod's routes. */
import type { Result } from '../cni/result.ts'
import type { LinkFacts, RouteFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import { ipFamily, parseCidr } from '../lib/ip.ts'
import { nodeAddresses, uplinkAddresses } from './host-addresses.ts'
import type { Port } from './port.ts'

/** An address of the node, and the VLAN in which the uplink carries it (0 = untagged). */
export interface HostAddress {
  readonly address: string
  readonly link: string
  readonly vlan: number
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
  readonly podAddresses: readonly PodAddress[]
  readonly podRoutes: readonly RouteFacts[]
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

/** Asks the kernel for what concerns this kind of port. */
export function readOffloadFacts(
  kernel: Kernel,
  port: Port,
  podAddresses: readonly PodAddress[],
): OffloadFacts {
  const { wire } = port
  return {
    port,
    hostAddresses: wire === undefined ? nodeAddresses(kernel) : uplinkAddresses(kernel, wire.uplink),
    podAddresses,
    podRoutes: wire === undefined || port.link === undefined ? [] : kernel.routes('pod'),
  }
}

/** True when the pod's main table sends replies of `ip`'s family to strangers out of this interface already. */
export function defaultRouteIsPort(facts: OffloadFacts, link: LinkFacts, family: 4 | 6): boolean {
  const dst = family === 4 ? '0.0.0.0/0' : '::/0'
  const defaults = facts.podRoutes.filter((route) => route.table === 254 && route.dst === dst)
  const best = defaults.reduce<RouteFacts | undefined>(
    (least, route) => (least === undefined || route.metric < least.metric ? route : least),
    undefined,
  )
  return best?.ifindex === link.ifindex
}

/** Families in which the pod has an address. */
export function podFamilies(facts: OffloadFacts): readonly (4 | 6)[] {
  return [...new Set(facts.podAddresses.map(({ ip }) => ipFamily(ip)))]
}
