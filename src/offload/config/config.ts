/**
 * The config of `vf-offload`. In: the request's config as written; out: validated wishes, nothing discovered. The keys
 * (keys.ts) are those of the portmap and bandwidth plugins and our own. Keys that would restrict or change who reaches a pod
 * are honoured or refused, never passed over.
 */
import { given, readKeys, strangers, type Values } from '../../cni/config-keys.ts'
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import { invalid } from '../../cni/value-kinds.ts'
import { shown } from '../../lib/json.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { hasPort, type PortRange, showRanges } from '../../lib/port-ranges.ts'
import type { Offload, Proto } from '../../ops/op.ts'
import { declares, type Limited, limitedPods, type RateWishes, readRates } from './bandwidth.ts'
import { offloadKeys } from './keys.ts'
import { checkPortmapKeys } from './portmap-compat.ts'

type OffloadValues = Values<typeof offloadKeys>

/** One wish: a port of the node that leads to a port of the container. */
export interface PortMapping {
  readonly proto: Proto
  readonly hostPort: number
  readonly containerPort: number
  /** Canonical address; undefined = every address of the uplink; `0.0.0.0` or `::` = those of one family. */
  readonly hostIP: string | undefined
}

/** The wishes of the user. */
export interface OffloadConfig {
  readonly mappings: readonly PortMapping[]
  readonly rates: RateWishes
  /** The list declares the capability, so that pods can ask for port mappings. */
  readonly servesPorts: boolean
  readonly limited: Limited
  readonly offload: Offload
  readonly nat: 'auto' | 'pod' | 'nic'
  /** Without representors, drivers that take a filter that sends a frame back by its own port are asked for ours. */
  readonly legacyOffload: 'off' | 'try'
  /** Networks (CIDR) whose hosts talk to the pod's own address and port; only they may when the NIC translates. */
  readonly directSubnets: readonly string[]
  /** The device as the runtime named it; undefined = look at prevResult. */
  readonly device: PciAddress | undefined
  /** The host's interface on the wire of a NIC in the pod that is no VF. */
  readonly uplink: string | undefined
  /** The host replaces source addresses where replies would not come back otherwise. */
  readonly snat: boolean
  /** ... and all others too (veth only). */
  readonly masqAll: boolean
  /** Programs of the node reach mapped ports at 127.0.0.1 too; undefined = as is usual for the kind of port. */
  readonly localhost: boolean | undefined
  /** Families whose mappings are to have conditions of iptables or nftables, which are not made here, and the conditions. */
  readonly conditions: ReadonlyMap<4 | 6, string>
  /** Host ports that the config allows; the operator's policy may allow fewer. */
  readonly allowedHostPorts: readonly PortRange[]
  /** A program of the node may listen on a port that is mapped. */
  readonly allowListening: boolean
  /** A port may be mapped that others translate, as far as the operator's policy goes. */
  readonly allowServicePorts: boolean
  /** Something may be open from a port that is mapped on a wire: its replies are lost then. */
  readonly allowConnected: boolean
  readonly stateDir: string
  readonly warnings: readonly string[]
}

/**
 * Reads the config of an ADD or CHECK.
 * @throws CniError 7 for a value that is not allowed, 2 for a key or value that is understood and not supported
 */
export function readOffloadConfig(request: Request): OffloadConfig {
  const config = given(request.config, offloadKeys)
  const values = readKeys(config, offloadKeys)
  const { runtimeConfig: runtime, snat, localhost, allowedHostPorts = allPorts } = values
  const { warnings, conditions } = checkPortmapKeys(config)
  const mappings = runtime?.portMappings ?? []
  for (const { hostPort } of mappings) refuseForeignPort(hostPort, allowedHostPorts, request)
  if (localhost === true && !snat)
    throw invalid('localhost', true, 'false with snat false: from 127.0.0.1 no reply comes back untranslated')
  return {
    mappings: mappings.map(({ protocol: proto, ...rest }) => ({ proto, ...rest, hostIP: rest.hostIP })),
    rates: readRates(values, runtime?.bandwidth, values.bandwidth),
    servesPorts: declares(config, 'portMappings'),
    limited: limitedPods(config, values),
    offload: values.offload,
    nat: values.nat,
    legacyOffload: values.legacyOffload,
    directSubnets: values.directSubnets,
    device: chosenDevice(values),
    uplink: values.uplink,
    snat,
    masqAll: values.masqAll,
    localhost,
    conditions,
    allowedHostPorts,
    allowListening: values.allowListening,
    allowServicePorts: values.allowServicePorts && request.policy.allowServicePorts,
    allowConnected: values.allowConnected,
    stateDir: values.stateDir,
    warnings: [...warnings, ...strangers(config, offloadKeys, shown)],
  }
}

/** Both lists count: a network's config narrows the ports that the operator allows. */
function refuseForeignPort(
  hostPort: number,
  allowed: readonly PortRange[],
  { policy: { file, allowedHostPorts = allPorts } }: Request,
): void {
  const refusal = (ranges: readonly PortRange[], where: string) =>
    invalid('hostPort', hostPort, `one of allowedHostPorts${where}: ${showRanges(ranges)}`)
  if (!hasPort(allowed, hostPort)) throw refusal(allowed, '')
  if (!hasPort(allowedHostPorts, hostPort)) throw refusal(allowedHostPorts, ` of ${file}`)
}

const allPorts: readonly PortRange[] = [{ first: 1, last: 65535 }]

/** The device may be named three ways, all filled by Multus at once; they must agree. */
function chosenDevice({ deviceID, pciBusID, runtimeConfig }: OffloadValues): PciAddress | undefined {
  const named = Object.entries({ deviceID, pciBusID, 'runtimeConfig.deviceID': runtimeConfig?.deviceID })
  const given = named.filter(([, address]) => address !== undefined)
  const [address, ...others] = new Set(given.map(([, one]) => one))
  if (others.length === 0) return address
  const list = given.map(([key, value]) => `${key} "${value}"`).join(', ')
  throw new CniError(code.invalidConfig, `Cannot choose a device: ${list} must be the same`)
}
