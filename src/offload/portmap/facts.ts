/** The facts of port mappings beside the pod's port: addresses on both sides, and the pod's routes. */
import type { Result } from '../../cni/result.ts'
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import { ipFamily, parseCidr } from '../../lib/ip.ts'
import { masterOf } from '../../nic/netdev.ts'
import type { PortMapping } from '../config/config.ts'
import { type HostAddress, nodeAddresses, uplinkAddresses } from '../port/addresses.ts'
import { driverOf, type Port } from '../port/port.ts'
import {
  familiesOf,
  mainTable,
  onlyWayIs,
  type PodAddress,
  type ReplyFacts,
  tablesBehind,
} from './reply-routing.ts'

/** Everything that a plan of port mappings goes by. */
export interface OffloadFacts extends ReplyFacts {
  /** Of the uplink and what is above it; of the whole node for a veth. */
  readonly hostAddresses: readonly HostAddress[]
  /** Every address of the pod's families that is the node's alone, on whichever interface: all but link-local ones, which others have too. */
  readonly ownAddresses: ReadonlySet<string>
  /** Mappings whose port a program of the node serves at 127.0.0.1, and who it is. */
  readonly servedLocally?: ReadonlyMap<PortMapping, string>
  /** Families of the pod whose packets the node does not forward. */
  readonly still?: ReadonlySet<4 | 6>
  /** The bond or team that the uplink is a port of. */
  readonly bond?: string
  /** The driver of the card that is asked to take filters; absent where no card is. */
  readonly driver?: string | undefined
  /** What comes to the pod is limited, or is to be: without a policer in the NIC, by an ifb in the pod. */
  readonly isLimited?: boolean
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
  // Keys are of the pod's families alone, and so is each address that is compared with a key.
  const families = familiesOf(podAddresses)
  const onHost = kernel.nodeAddresses(families)
  const hostAddresses =
    wire === undefined ? nodeAddresses(kernel, onHost) : uplinkAddresses(kernel, wire.uplink, onHost)
  const ownAddresses = new Set(onHost.map(({ address }) => parseCidr(address).ip))
  const base = {
    ...{ port, hostAddresses, ownAddresses, podAddresses },
    ...(wire === undefined ? {} : { driver: driverOf(port), ...aroundUplink(wire.uplink) }),
    still: new Set(families.filter((family) => kernel.sysctl('host', forwardKeys[family]) === '0')),
  }
  if (wire === undefined || port.link === undefined) return { ...base, podRoutes: [], podRules: [] }
  const { link } = port
  const mainRoutes = kernel.routes('pod', mainTable)
  const podRules = families.flatMap((family) => {
    const routes = mainRoutes.filter(({ dst }) => ipFamily(dst) === family)
    return onlyWayIs(routes, link) ? [] : kernel.sourceRules('pod', family)
  })
  const others = tablesBehind(podRules, podAddresses)
  return {
    ...base,
    podRoutes: [...mainRoutes, ...others.flatMap((table) => kernel.routes('pod', table))],
    podRules,
  }
}

/** The settings that say whether the node forwards. */
export const forwardKeys = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const

/** Masters that use one of their ports, or some, at a time. */
const bonds: ReadonlySet<string | undefined> = new Set(['bond', 'team'])

function aroundUplink({ name, slaveKind }: LinkFacts): Pick<OffloadFacts, 'bond'> {
  const bond = bonds.has(slaveKind) ? (masterOf(name) ?? `a ${slaveKind}`) : undefined
  return bond === undefined ? {} : { bond }
}
