/** CHECK of port mappings beside their operations: the wishes, and the addresses and the way that the mappings depend on. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import { grouped } from '../../lib/grouped.ts'
import { ipFamily } from '../../lib/ip.ts'
import { notice } from '../../lib/log/notice.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { OffloadConfig, PortMapping } from '../config/config.ts'
import type { CheckContext } from '../feature.ts'
import { nodeAddresses, uplinkAddresses } from '../port/addresses.ts'
import { traitsOf } from '../port/kinds.ts'
import type { Port } from '../port/port.ts'
import { lostDefaultRoutes } from './default-routes.ts'
import { podAddressesOf } from './facts.ts'
import { undelivered } from './hairpin/delivered.ts'
import { servedDifferences } from './host/services.ts'
import { isLoopback } from './keys.ts'

/** Sentences about wishes that are not mapped, and about everything on which mappings depend. */
export function* mappingDifferences(context: CheckContext): Iterable<string> {
  const { kernel, request, config, journal, port } = context
  if (journal === undefined) {
    const podIPs = podAddressesOf(request.prevResult ?? {}, request.ifname).map(({ ip }) => ip)
    // An ADD none of whose wishes fits an address of the pod has nothing to write down.
    if (config.mappings.some((mapping) => isMeantFor(mapping, podIPs)))
      yield 'there is no record of this attachment'
    return
  }
  yield* wishDifferences(journal, config)
  if (port !== undefined) {
    yield* pairDifferences(context, journal, port)
    yield* addressDifferences(kernel, journal, port, config)
    yield* undelivered(context, journal, port)
  }
  if (!config.allowServicePorts) yield* servedDifferences(kernel, journal.keys, journal.nat === 'host')
}

/** Every mapping asked for is one that ADD made, and the other way round. */
function* wishDifferences({ keys }: OffloadJournal, { mappings }: OffloadConfig): Iterable<string> {
  type Key = OffloadJournal['keys'][number]
  const isFor = (mapping: PortMapping, key: Key) =>
    mapping.proto === key.proto &&
    mapping.hostPort === key.port &&
    mapping.containerPort === key.toPort &&
    (mapping.hostIP === undefined ||
      mapping.hostIP === key.address ||
      (isWildcard(mapping.hostIP) && ipFamily(mapping.hostIP) === ipFamily(key.address)))
  const podIPs = [...new Set(keys.map(({ toAddress }) => toAddress))]
  const place = ({ proto }: Pick<Key, 'proto'>, port: number) => `${proto} ${port}`
  const keysAt = grouped(keys, (key) => place(key, key.port))
  const mappingsAt = grouped(mappings, (mapping) => place(mapping, mapping.hostPort))
  for (const mapping of mappings) {
    const { proto, hostIP = '', hostPort, containerPort } = mapping
    const found = keysAt.get(place(mapping, hostPort))
    if (!isMeantFor(mapping, podIPs) || found?.some((key) => isFor(mapping, key)) === true) continue
    yield `${proto} ${hostIP}${hostIP === '' ? '' : ' '}port ${hostPort} to ${containerPort} is asked for and was not mapped`
  }
  for (const key of keys) {
    if (mappingsAt.get(place(key, key.port))?.some((mapping) => isFor(mapping, key)) === true) continue
    yield `${key.proto} ${key.address} port ${key.port} to ${key.toPort} was mapped and is not asked for`
  }
}

/** False for a wish of a family that the pod lacks: ADD skips such a wish, as portmap does. */
function isMeantFor({ hostIP }: PortMapping, podIPs: readonly string[]): boolean {
  return hostIP === undefined ? podIPs.length > 0 : podIPs.some((ip) => ipFamily(ip) === ipFamily(hostIP))
}

function isWildcard(ip: string): boolean {
  return ip === '0.0.0.0' || ip === '::'
}

/**
 * The pod's end of a veth pair: mappings lead to the addresses on it, and replies come back by the default route that it had. Other
 * interfaces and addresses are the pod's own business.
 */
function* pairDifferences(
  { kernel, request: { prevResult } }: CheckContext,
  journal: OffloadJournal,
  { kind, name, link, peer }: Port,
): Iterable<string> {
  const { link: then, keys } = journal
  if (!traitsOf(kind).isPair || link === undefined || keys.length === 0) return
  // Another plugin of the list may have given it one after ours.
  const reported = prevResult?.interfaces?.find((one) => one.name === name && (one.sandbox ?? '') !== '')
  if (then !== undefined && then.mac !== link.mac && reported?.mac?.toLowerCase() !== link.mac)
    yield `interface "${name}" in the pod has MAC ${link.mac}, it had ${then.mac}`
  if (!link.up) yield `interface "${name}" in the pod is down`
  if (peer !== undefined && !peer.up) yield `interface "${peer.name}" of the host, its other end, is down`
  const wanted = new Set(keys.map(({ toAddress }) => toAddress))
  const has = new Set(kernel.addresses('pod', link.ifindex).map(({ address }) => address.split('/')[0]))
  for (const address of wanted)
    if (!has.has(address)) yield `interface "${name}" in the pod does not have address ${address} any more`
  for (const family of lostDefaultRoutes(kernel, link, journal, prevResult))
    yield `the pod has no default route by "${name}" any more for IPv${family}`
}

function* addressDifferences(
  kernel: Kernel,
  { keys }: OffloadJournal,
  { wire }: Port,
  config: OffloadConfig,
): Iterable<string> {
  const known = kernel.nodeAddresses([...new Set(keys.map(({ address }) => ipFamily(address)))])
  const addresses =
    wire === undefined ? nodeAddresses(kernel, known) : uplinkAddresses(kernel, wire.uplink, known)
  const here = new Set(addresses.map(({ address }) => address))
  const place = wire === undefined ? 'the node' : `the uplink "${wire.uplink.name}"`
  const named = new Set(config.mappings.map(({ hostIP }) => hostIP))
  for (const wanted of new Set(keys.map((key) => key.address))) {
    if (here.has(wanted) || isLoopback(wanted)) continue
    const words = `${place} does not have address ${wanted} any more`
    const isSpare = keys.some(({ address }) => ipFamily(address) === ipFamily(wanted) && here.has(address))
    // Addresses come and go, and who wished for whatever there are has the others: making the pod anew would not help.
    if (isSpare && !named.has(wanted)) notice(`vf-offload: ${words}`)
    else yield words
  }
}
