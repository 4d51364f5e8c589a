import {
  isObject,
  type JsonObject,
  type JsonValue,
  type Keys,
  normalise,
  setMember,
  shown,
  stringify,
} from '../lib/json.ts'
import { CniError, code } from './error.ts'
import { isSupported, supportedVersions } from './version.ts'

// The shape of CNI 1.1.0, which we use in memory for every version. Unknown fields stay in their places.

/** The answer of an ADD: interfaces made, addresses, routes and name service. */
export interface Result {
  /** Ignored: the version belongs to the printed form. */
  cniVersion?: string | undefined
  interfaces?: Interface[] | undefined
  ips?: IpConfig[] | undefined
  routes?: Route[] | undefined
  dns?: Dns | undefined
  [unknown: string]: unknown
}

/** An interface that the plugins made, in the container or on the host. */
export interface Interface {
  name: string
  mac?: string | undefined
  /** Bytes; since 1.1.0. */
  mtu?: number | undefined
  /** Path of the container's network namespace; absent or '' for an interface of the host. */
  sandbox?: string | undefined
  /** Since 1.1.0. */
  socketPath?: string | undefined
  /** PCI address, like 0000:04:00.5; since 1.1.0. */
  pciID?: string | undefined
  [unknown: string]: unknown
}

/** An address of the container. */
export interface IpConfig {
  /** Address with prefix length. */
  address: string
  gateway?: string | undefined
  /** Index into `interfaces`. May be out of range in the results of other plugins. */
  interface?: number | undefined
  [unknown: string]: unknown
}

/** A route of the container. Without `gw` the route uses the first gateway of its family in `ips`. */
export interface Route {
  /** Destination with prefix length. */
  dst: string
  gw?: string | undefined
  mtu?: number | undefined
  advmss?: number | undefined
  priority?: number | undefined
  table?: number | undefined
  scope?: number | undefined
  [unknown: string]: unknown
}

/** Name service, as resolv.conf(5) has it. */
export interface Dns {
  nameservers?: string[] | undefined
  domain?: string | undefined
  search?: string[] | undefined
  options?: string[] | undefined
  [unknown: string]: unknown
}

/**
 * Reads a result or prevResult of any version into the shape of 1.1.0. Known keys match in any case, null counts as
 * absent; unknown fields are kept at every level.
 *
 * @param version the config's version, which counts for a result without one
 * @throws CniError 6 if a field has the wrong type, 1 for a version that we don't know
 */
export function parseResult(json: JsonValue, version: string): Result {
  if (!isObject(json)) throw undecodable('result', 'an object')
  const { cniVersion, ...rest } = normalise(json, resultKeys)
  const own = cniVersion ?? version
  if (typeof own !== 'string') throw undecodable('cniVersion', 'a string')
  const from = own || version
  if (!isSupported(from))
    throw new CniError(
      code.incompatibleVersion,
      `Cannot read a result of cniVersion ${shown(from)}: must be one of ${supportedVersions.join(', ')}`,
    )
  const current = from < '0.3.0' ? fromIp4AndIp6(rest) : rest
  checkFields(current)
  return (from < '1.0.0' ? withoutIpVersion(current) : { ...current }) as Result
}

/**
 * The name service in a result or a config, its known keys in their official spelling; undefined where there is none.
 * @param refuse makes the error for a wrong value, from the key, the value and the allowed type
 */
export function readDns(
  value: JsonValue | undefined,
  at: string,
  refuse: (at: string, value: JsonValue, wanted: string) => CniError,
): Dns | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw refuse(at, value, 'an object')
  const dns = normalise(value, dnsKeys)
  if (dns.domain !== undefined && typeof dns.domain !== 'string')
    throw refuse(`${at}.domain`, dns.domain, 'a string')
  for (const key of ['nameservers', 'search', 'options']) {
    const list = dns[key]
    if (list === undefined || (Array.isArray(list) && list.every((text) => typeof text === 'string')))
      continue
    throw refuse(`${at}.${key}`, list, 'an array of strings')
  }
  return dns as Dns
}

/**
 * Prints a result as one line of JSON in the shape of `version`, the config's.
 *
 * - 0.1.0, 0.2.0: the first IPv4 and the first IPv6 address with their routes; no interfaces. An attachment without
 *   addresses prints neither `ip4` nor `ip6`, which the specification allows.
 * - 0.3.0-0.4.0: `ips[].version` is added; the interface fields of 1.1.0 (mtu, socketPath, pciID) are left out.
 * - 1.0.0, 1.1.0: unchanged, because both share one shape in libcni.
 *
 * @param version a supported one
 */
export function printResult(result: Result, version: string): string {
  const rest = without(result, ['cniVersion']) as Result
  if (version >= '1.0.0') return stringify({ cniVersion: version, ...rest })
  const printed = version < '0.3.0' ? toIp4AndIp6(rest) : toShapeOf04(rest)
  // Go programs always print `dns` before 1.0.0, and some readers take it for granted.
  return stringify({ cniVersion: version, ...printed, dns: rest.dns ?? {} })
}

const dnsKeys: Keys = { nameservers: true, domain: true, search: true, options: true }
const routeKeys: Keys = {
  dst: true,
  gw: true,
  mtu: true,
  advmss: true,
  priority: true,
  table: true,
  scope: true,
}
const ip4Keys: Keys = { ip: true, gateway: true, routes: routeKeys }
const resultKeys: Keys = {
  cniVersion: true,
  interfaces: { name: true, mac: true, mtu: true, sandbox: true, socketPath: true, pciID: true },
  ips: { version: true, address: true, gateway: true, interface: true },
  routes: routeKeys,
  dns: dnsKeys,
  ip4: ip4Keys,
  ip6: ip4Keys,
}

/** Go's libcni prints these for 1.0.0 too, which shares its type with 1.1.0. */
const interfaceFieldsSince11 = ['mtu', 'socketPath', 'pciID']
const routeFieldsSince03 = ['mtu', 'advmss', 'priority', 'table', 'scope']

type Members = Readonly<Record<string, unknown>>

/** `ip4` and `ip6` of 0.1.0 and 0.2.0 to `ips` and `routes`. */
function fromIp4AndIp6(result: JsonObject): JsonObject {
  const { ip4, ip6, ...rest } = result
  const ips: JsonValue[] = []
  const routes: JsonValue[] = []
  for (const [key, value] of Object.entries({ ip4, ip6 })) {
    if (value === undefined) continue
    if (!isObject(value)) throw undecodable(key, 'an object')
    const { ip, routes: own = [], ...unknown } = value
    if (!Array.isArray(own)) throw undecodable(`${key}.routes`, 'an array')
    if (typeof ip !== 'string') throw undecodable(`${key}.ip`, 'a string')
    ips.push({ address: ip, ...unknown })
    routes.push(...own)
  }
  const converted: Record<string, JsonValue> = { ...rest }
  if (ips.length > 0) setMember(converted, 'ips', ips)
  if (routes.length > 0) setMember(converted, 'routes', routes)
  return converted
}

function toIp4AndIp6(result: Result): Members {
  const { ips = [], routes = [] } = result
  const converted: Record<string, unknown> = without(result, ['interfaces', 'ips', 'routes', 'dns'])
  for (const [key, isFamily] of [['ip4', isIpv4] as const, ['ip6', isIpv6] as const]) {
    const first = ips.find((entry) => isFamily(entry.address))
    if (first === undefined) continue
    const own = routes
      .filter((route) => isFamily(route.dst))
      .map((route) => without(route, routeFieldsSince03))
    const { address, ...rest } = without(first, ['interface'])
    converted[key] = { ip: address, ...rest, ...(own.length > 0 ? { routes: own } : {}) }
  }
  return converted
}

function toShapeOf04(result: Result): Members {
  const converted: Record<string, unknown> = without(result, ['dns'])
  const { interfaces, ips } = result
  if (interfaces) converted.interfaces = interfaces.map((entry) => without(entry, interfaceFieldsSince11))
  if (ips) converted.ips = ips.map((entry) => ({ ...entry, version: isIpv6(entry.address) ? '6' : '4' }))
  return converted
}

function withoutIpVersion(result: JsonObject): Members {
  if (!Array.isArray(result.ips)) return { ...result }
  return { ...result, ips: result.ips.map((entry: JsonObject) => without(entry, ['version'])) }
}

function without(object: Members, keys: readonly string[]): Record<string, unknown> {
  const copy = { ...object }
  for (const key of keys) delete copy[key]
  return copy
}

function isIpv6(address: string): boolean {
  return address.includes(':')
}

function isIpv4(address: string): boolean {
  return !isIpv6(address)
}

// The code above this layer relies on the type of each known field and does not check it again. The reader of an address
// checks the text of that address.

function checkFields(result: JsonObject): void {
  for (const [at, entry] of entries(result, 'interfaces')) {
    needString(entry, 'name', at)
    for (const key of ['mac', 'sandbox', 'socketPath', 'pciID']) mayBeString(entry, key, at)
    mayBeInteger(entry, 'mtu', at)
  }
  for (const [at, entry] of entries(result, 'ips')) {
    needString(entry, 'address', at)
    mayBeString(entry, 'gateway', at)
    mayBeInteger(entry, 'interface', at)
  }
  for (const [at, entry] of entries(result, 'routes')) {
    needString(entry, 'dst', at)
    mayBeString(entry, 'gw', at)
    for (const key of ['mtu', 'advmss', 'priority', 'table', 'scope']) mayBeInteger(entry, key, at)
  }
  readDns(result.dns, 'dns', (at, _value, wanted) => undecodable(at, wanted))
}

function entries(result: JsonObject, key: string): [at: string, entry: JsonObject][] {
  const list = result[key] ?? []
  if (!Array.isArray(list)) throw undecodable(key, 'an array')
  return list.map((entry: JsonValue, index) => {
    const at = `${key}[${index}]`
    if (!isObject(entry)) throw undecodable(at, 'an object')
    return [at, entry]
  })
}

function needString(entry: JsonObject, key: string, at: string): void {
  if (typeof entry[key] !== 'string') throw undecodable(`${at}.${key}`, 'a string')
}

function mayBeString(entry: JsonObject, key: string, at: string): void {
  if (entry[key] !== undefined) needString(entry, key, at)
}

function mayBeInteger(entry: JsonObject, key: string, at: string): void {
  if (entry[key] !== undefined && !Number.isSafeInteger(entry[key]))
    throw undecodable(`${at}.${key}`, 'an integer')
}

function undecodable(at: string, wanted: string): CniError {
  return new CniError(code.decodeFailure, `Cannot decode ${at}: must be ${wanted}`)
}
