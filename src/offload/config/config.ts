/**
 * The config of `vf-offload`. In: the request's config as written; out: validated wishes, nothing discovered. The keys
 * are those of the portmap plugin and our own (`offload`, `nat`). Keys that would restrict or change who reaches a pod
 * are honoured or refused, never passed over.
 */
import '../../lib/zod-settings.ts'
import * as z from 'zod/mini'
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import { isLinkName } from '../../lib/interface-name.ts'
import { formatCidr, networkOf, tryParseCidr, tryParseIp, withoutMapping } from '../../lib/ip.ts'
import { isObject, type JsonObject, type JsonValue, normalise, shown } from '../../lib/json.ts'
import { isFolderPath } from '../../lib/path.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { allowedRanges, hasPort, type PortRange, showRanges, tryParseRanges } from '../../lib/port-ranges.ts'
import type { Offload, Proto } from '../../ops/op.ts'
import {
  bandwidthKeys,
  declares,
  type Limited,
  limitedPods,
  type RateWishes,
  rateKeys,
  readRates,
} from './bandwidth.ts'
import { checkPortmapKeys } from './portmap-compat.ts'
import { stateDirOf } from './teardown.ts'

/** One wish: a port of the node that leads to a port of the container. */
export interface PortMapping {
  readonly proto: Proto
  readonly hostPort: number
  readonly containerPort: number
  /** Canonical address; undefined = every address of the uplink; `0.0.0.0` or `::` = those of one family. */
  readonly hostIP: string | undefined
}

/** What the user wants. */
export interface OffloadConfig {
  readonly mappings: readonly PortMapping[]
  readonly rates: RateWishes
  /** The list declares the capability, so that pods can ask for port mappings. */
  readonly servesPorts: boolean
  readonly limited: Limited
  readonly offload: Offload
  readonly nat: 'auto' | 'pod' | 'nic'
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

const mappingSchema = z.looseObject({
  hostPort: z.int().check(z.gte(1), z.lte(65535)),
  containerPort: z.int().check(z.gte(1), z.lte(65535)),
})

const known = {
  cniVersion: true,
  cniVersions: true,
  name: true,
  type: true,
  capabilities: true,
  args: true,
  prevResult: true,
  ipam: true,
  dns: true,
  disableCheck: true,
  disableGC: true,
  deviceID: true,
  pciBusID: true,
  offload: true,
  nat: true,
  directSubnets: true,
  uplink: true,
  localhost: true,
  allowedHostPorts: true,
  allowListening: true,
  allowServicePorts: true,
  allowConnected: true,
  stateDir: true,
  gcLive: true,
  snat: true,
  masqAll: true,
  markMasqBit: true,
  externalSetMarkChain: true,
  backend: true,
  conditionsV4: true,
  conditionsV6: true,
  logLevel: true,
  logFile: true,
  runtimeConfig: {
    deviceID: true,
    portMappings: { hostPort: true, containerPort: true, protocol: true, hostIP: true },
    bandwidth: rateKeys,
  },
  bandwidth: bandwidthKeys,
  ...rateKeys,
} as const

/**
 * Reads the config of an ADD or CHECK.
 * @throws CniError 7 for a value that is not allowed, 2 for a key or value that is understood and not supported
 */
export function readOffloadConfig(request: Request): OffloadConfig {
  const config = normalise(request.config, known)
  const runtime = config.runtimeConfig ?? {}
  if (!isObject(runtime)) throw invalid('runtimeConfig', runtime, 'an object')
  const { warnings, conditions } = checkPortmapKeys(config)
  const allowedHostPorts = readRanges(config.allowedHostPorts)
  const mappings = readMappings(runtime.portMappings)
  for (const { hostPort } of mappings) refuseForeignPort(hostPort, allowedHostPorts, request)
  const [snat, localhost] = [flag(config, 'snat', true), flag(config, 'localhost', undefined)]
  if (localhost === true && !snat)
    throw invalid('localhost', true, 'false with snat false: from 127.0.0.1 no reply comes back untranslated')
  const strangers = Object.keys(config).filter(
    (key) => !Object.hasOwn(known, key) && !key.startsWith('cni.dev/'),
  )
  return {
    mappings,
    rates: readRates(config, runtime),
    servesPorts: declares(config, 'portMappings'),
    limited: limitedPods(config),
    offload: choice(config, 'offload', ['prefer', 'require', 'off']) ?? 'prefer',
    nat: choice(config, 'nat', ['auto', 'pod', 'nic']) ?? 'auto',
    directSubnets: readSubnets(config.directSubnets),
    device: chosenDevice(config, runtime),
    uplink: readUplink(config.uplink),
    snat,
    masqAll: flag(config, 'masqAll', false),
    localhost,
    conditions,
    allowedHostPorts,
    allowListening: flag(config, 'allowListening', false),
    allowServicePorts: flag(config, 'allowServicePorts', false) && request.policy.allowServicePorts,
    allowConnected: flag(config, 'allowConnected', false),
    stateDir: chosenStateDir(config),
    warnings: [...warnings, ...strangers.map((key) => `key ${shown(key)} is not known and has no effect`)],
  }
}

function readMappings(value: JsonValue | undefined): PortMapping[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw invalid('runtimeConfig.portMappings', value, 'an array')
  return value.map((entry: JsonValue, index) => readMapping(entry, `runtimeConfig.portMappings[${index}]`))
}

function readMapping(entry: JsonValue, key: string): PortMapping {
  const parsed = mappingSchema.safeParse(entry)
  if (!isObject(entry) || !parsed.success) {
    if (!isObject(entry)) throw invalid(key, entry, 'an object')
    for (const port of ['hostPort', 'containerPort'] as const) {
      const failed = parsed.error?.issues.some((issue) => issue.path[0] === port)
      if (failed) throw invalid(`${key}.${port}`, entry[port] ?? null, 'an integer from 1 to 65535')
    }
    throw invalid(key, entry, 'a port mapping')
  }
  const { hostPort, containerPort } = parsed.data
  return {
    hostPort,
    containerPort,
    proto: readProtocol(entry.protocol, `${key}.protocol`),
    hostIP: readHostIp(entry.hostIP, `${key}.hostIP`),
  }
}

function readProtocol(value: JsonValue | undefined, key: string): Proto {
  const proto = typeof value === 'string' ? value.toLowerCase() : (value ?? '')
  if (proto === '') return 'tcp'
  const found = (['tcp', 'udp', 'sctp'] as const).find((candidate) => candidate === proto)
  if (found === undefined) throw invalid(key, value ?? null, '"tcp", "udp" or "sctp"')
  return found
}

/** Both lists count: a network's config narrows what the operator allows. */
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

function readRanges(value: JsonValue | undefined): readonly PortRange[] {
  if (value === undefined || value === '') return allPorts
  const ranges = tryParseRanges(value)
  if (ranges === undefined) throw invalid('allowedHostPorts', value, allowedRanges)
  return ranges
}

function flag<T>(config: JsonObject, key: string, absent: T): boolean | T {
  const value = config[key]
  if (value === undefined || value === null) return absent
  if (typeof value !== 'boolean') throw invalid(key, value, 'true or false')
  return value
}

function readHostIp(value: JsonValue | undefined, key: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const ip = typeof value === 'string' ? tryParseIp(value) : undefined
  if (ip === undefined) throw invalid(key, value, 'an IPv4 or IPv6 address')
  return withoutMapping(ip)
}

/** The device may be named three ways, all filled by Multus at once; they must agree. */
function chosenDevice(config: JsonObject, runtime: JsonObject): PciAddress | undefined {
  const named = new Map<string, PciAddress>()
  for (const [key, value] of [
    ['deviceID', config.deviceID],
    ['pciBusID', config.pciBusID],
    ['runtimeConfig.deviceID', runtime.deviceID],
  ] as const) {
    if (value === undefined || value === '') continue
    const address = typeof value === 'string' ? parsePciAddress(value) : undefined
    if (address === undefined) throw invalid(key, value, 'a PCI address such as 0000:3b:02.1')
    named.set(key, address)
  }
  const [address, ...others] = new Set(named.values())
  if (others.length === 0) return address
  const list = [...named].map(([key, value]) => `${key} "${value}"`).join(', ')
  throw new CniError(code.invalidConfig, `Cannot choose a device: ${list} must be the same`)
}

function readSubnets(value: JsonValue | undefined): string[] {
  if (value === undefined || value === '') return []
  const list = Array.isArray(value) ? value : [value]
  const networks = list.map((entry: JsonValue) => {
    const cidr = typeof entry === 'string' ? tryParseCidr(entry) : undefined
    if (!Array.isArray(value) || cidr === undefined) {
      throw invalid('directSubnets', value, 'an array of networks such as "10.1.0.0/24"')
    }
    return formatCidr(networkOf(cidr))
  })
  return [...new Set(networks)]
}

function readUplink(value: JsonValue | undefined): string | undefined {
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string' || !isLinkName(value))
    throw invalid('uplink', value, 'the name of a network interface of the host')
  return value
}

function choice<T extends string>(config: JsonObject, key: string, allowed: readonly T[]): T | undefined {
  const value = config[key]
  if (value === undefined || value === '') return undefined
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) throw invalid(key, value, allowed.map((word) => `"${word}"`).join(', '))
  return found
}

function invalid(key: string, value: JsonValue, allowed: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${key} ${shown(value)}: must be ${allowed}`)
}

function chosenStateDir(config: JsonObject): string {
  const { stateDir } = config
  const usable =
    stateDir === undefined || stateDir === '' || (typeof stateDir === 'string' && isFolderPath(stateDir))
  if (!usable) throw invalid('stateDir', stateDir, 'an absolute path')
  return stateDirOf(config)
}
