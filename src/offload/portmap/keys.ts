/** From wishes to rules: which addresses a port mapping is served on and what frames to them become. Pure. */
import { CniError, code } from '../../cni/error.ts'
import { compareIp, ipFamily, parseIp } from '../../lib/ip.ts'
import type { PortKey } from '../../ops/op.ts'
import type { OffloadConfig, PortMapping } from '../config/config.ts'
import type { HostAddress } from '../port/addresses.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'

/** The node's side of a mapping: addresses of the uplink in the VF's VLAN, and those it has elsewhere (for errors). */
export interface HostAddresses {
  readonly served: readonly HostAddress[]
  readonly elsewhere: readonly HostAddress[]
  /** The VF's VLAN, 0 = none. */
  readonly vlan: number
  /** undefined = all of the node serves (veth). */
  readonly uplink: string | undefined
  /** A wish for every address of IPv4 includes 127.0.0.1. */
  localhost(mapping: PortMapping): boolean
}

/**
 * True when programs of the node reach mapped ports at 127.0.0.1. A config that does not say so gets it behind a veth, as with the
 * portmap plugin. There, as here, it takes snat.
 */
export function servesLocalhost(
  { localhost, snat }: Pick<OffloadConfig, 'localhost' | 'snat'>,
  { kind }: Pick<Port, 'kind'>,
): boolean {
  return localhost ?? (snat && traitsOf(kind).isPair)
}

/** The address at which programs of a node look for the node's own services. */
export const localhost = '127.0.0.1'

/** True for an address of the host's loopback interface: only its own programs reach a port there. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

/**
 * Every (address, protocol, port) that the wishes stand for, with where it leads, sorted so that two ADDs at once
 * reserve in the same order. A wish for a family in which the pod has no address is none, as with the portmap plugin.
 * @throws CniError 7 for a hostIP that the VF's wire does not reach, for an uplink without addresses, for a duplicate
 */
export function portKeys(
  mappings: readonly PortMapping[],
  podIPs: readonly string[],
  host: HostAddresses,
): PortKey[] {
  const keys = mappings.flatMap((mapping) => keysOf(mapping, podIPs, host))
  const order = orderOf(keys)
  keys.sort(
    (a, b) =>
      (order.get(a.address) ?? 0) - (order.get(b.address) ?? 0) ||
      a.port - b.port ||
      compare(a.proto, b.proto),
  )
  for (const [index, key] of keys.entries()) {
    const next = keys[index + 1]
    if (
      next !== undefined &&
      next.address === key.address &&
      next.port === key.port &&
      next.proto === key.proto
    ) {
      throw new CniError(
        code.invalidConfig,
        `Cannot map ${key.proto} ${key.address} port ${key.port} twice: to port ${key.toPort} and to port ${next.toPort}`,
      )
    }
  }
  return keys
}

/** The place of each address among all: thousands of keys have few addresses. */
function orderOf(keys: readonly PortKey[]): ReadonlyMap<string, number> {
  const addresses = [...new Set(keys.map(({ address }) => address))].map(parseIp)
  return new Map(addresses.toSorted(compareIp).map((address, at) => [address, at]))
}

function keysOf(mapping: PortMapping, podIPs: readonly string[], host: HostAddresses): PortKey[] {
  return addressesFor(mapping, podIPs, host).flatMap((address) => {
    const toAddress = podIPs.find((ip) => ipFamily(ip) === ipFamily(address))
    if (toAddress === undefined) return []
    const { proto, hostPort: port, containerPort: toPort } = mapping
    return [{ address, proto, port, toAddress, toPort }]
  })
}

function addressesFor(
  mapping: PortMapping,
  podIPs: readonly string[],
  host: HostAddresses,
): readonly string[] {
  const { hostIP } = mapping
  // An interface may have one address twice, with two prefix lengths.
  const served = [...new Set(host.served.map(({ address }) => address))]
  if (hostIP !== undefined && hostIP !== '0.0.0.0' && hostIP !== '::') {
    // Whoever asks for that address gets nothing, whatever addresses the pod has: never in silence.
    if (hostIP === '::1') throw unreachable(`hostIP "${hostIP}"`, hostIP, host)
    if (podIPs.every((ip) => ipFamily(ip) !== ipFamily(hostIP))) return []
    if (served.includes(hostIP) || (isLoopback(hostIP) && ipFamily(hostIP) === 4)) return [hostIP]
    throw unreachable(`hostIP "${hostIP}"`, hostIP, host)
  }
  const family = hostIP === undefined ? undefined : ipFamily(hostIP)
  const wanted = podIPs.map(ipFamily).filter((podFamily) => family === undefined || podFamily === family)
  if (wanted.length === 0) return []
  const lasting = new Set(host.served.flatMap((one) => (one.temporary === true ? [] : one.address)))
  const found = served.filter((address) => lasting.has(address) && wanted.includes(ipFamily(address)))
  if (found.length === 0) throw unreachable(`hostPort ${mapping.hostPort}`, undefined, host)
  return wanted.includes(4) && host.localhost(mapping) ? [...found, localhost] : found
}

function unreachable(what: string, hostIP: string | undefined, host: HostAddresses): CniError {
  if (hostIP === '::1')
    return new CniError(
      code.invalidConfig,
      `Cannot serve ${what}: the kernel routes nothing from ::1 to a pod`,
    )
  if (host.uplink === undefined)
    return new CniError(
      code.invalidConfig,
      `Cannot serve ${what}: must be an address of this node, which has ${list(host)}`,
    )
  const wire = `uplink "${host.uplink}"${host.vlan === 0 ? ' without VLAN' : ` in VLAN ${host.vlan}`}`
  const other = host.elsewhere.find(({ address }) => address === hostIP)
  const reason =
    other === undefined
      ? `must be an address on ${wire}, the VF's wire, which has ${list(host)}`
      : `it is on "${other.link}"${other.vlan === 0 ? ' without VLAN' : ` in VLAN ${other.vlan}`}, the VF is on ${wire}`
  return new CniError(code.invalidConfig, `Cannot serve ${what}: ${reason}`)
}

function list(host: HostAddresses): string {
  return host.served.length === 0 ? 'none' : host.served.map(({ address }) => address).join(', ')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
