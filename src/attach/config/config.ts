/**
 * The network config of `vf-attach`. In: the request's config as written, its CNI_ARGS; out: everything the plan needs
 * to know about wishes, validated, nothing discovered. The keys are those of sriov-cni and host-device, so that their
 * configs work unchanged; every refusal names the key, the value and what is allowed.
 */
import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import { type Dns, readDns } from '../../cni/result.ts'
import { isObject, type JsonObject, type JsonValue, normalise, shown } from '../../lib/json.ts'
import { isMulticast, isZero, tryParseMac } from '../../lib/mac.ts'
import { isFolderPath } from '../../lib/path.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { defaultStateDir } from '../../records/store.ts'
import { keys, otherKeys } from './keys.ts'

/** Rates in Mbit/s as the kernel's `ip link set vf` takes them; absent = untouched. */
export interface RateWish {
  readonly min: number | undefined
  readonly max: number | undefined
}

/** One way in which the config names the device; `key` is the config's word for it. */
export type Selector =
  | { readonly by: 'pci'; readonly key: string; readonly address: PciAddress }
  | { readonly by: 'auxiliary'; readonly key: string; readonly name: string }
  | { readonly by: 'name'; readonly key: string; readonly name: string }
  | { readonly by: 'hwaddr'; readonly key: string; readonly mac: string }
  | { readonly by: 'kernelpath'; readonly key: string; readonly path: string }

/** What the user wants. */
export interface AttachConfig {
  /** One device, named in one or several ways that must agree; empty with `pf`. */
  readonly selectors: readonly Selector[]
  /** Name or PCI address of a PF, any free VF of which will do. */
  readonly pf: string | undefined
  /** PF-side attributes that were asked for, rates apart (an absent half of a rate keeps its value). */
  readonly vf: Omit<VfAttributes, 'rate'>
  readonly rate: RateWish | undefined
  /** Effective MAC in the pod; also the PF-side MAC. */
  readonly mac: string | undefined
  /** MTU of the pod's interface in bytes; absent = untouched. */
  readonly mtu: number | undefined
  /** Where the VF's representor goes; `vlan` is that of its port, untagged towards the pod. */
  readonly bridge: { readonly name: string; readonly vlan: number | undefined } | undefined
  /** Frames to send before ADD ends; undefined leaves announcing to the kernel, which takes its time and none of ours. */
  readonly announce:
    | { readonly count: number; readonly intervalMs: number; readonly carrierMs: number }
    | undefined
  readonly hasIpam: boolean
  readonly stateDir: string
  /** A device by which the node lives may be taken: config and policy both say so. */
  readonly allowNodeDevice: boolean
  /** What the result says where the IPAM plugin says nothing. */
  readonly dns: Dns | undefined
  /** Lines for the operator: keys that have no effect. */
  readonly warnings: readonly string[]
}

const spelling = Object.fromEntries([...Object.keys(keys), ...otherKeys].map((key) => [key, true as const]))

/** Key that a runtime fills for a declared capability, and the config key it stands for. */
const capabilities = ['deviceID', 'mac'] as const

/**
 * Reads the config of an ADD or CHECK.
 * @throws CniError 7 for a value that is not allowed or a combination that makes no sense
 */
export function readAttachConfig(request: Request): AttachConfig {
  return read(request, chosenDevice)
}

/**
 * Reads the config of a STATUS, in which a device may be missing: the runtime names it at ADD.
 * @throws CniError 7 as {@link readAttachConfig}
 */
export function readStatusConfig(request: Request): AttachConfig {
  return read(request, namedDevice)
}

function read(request: Request, device: typeof chosenDevice): AttachConfig {
  const config = given(request)
  for (const [key, { schema, allowed }] of Object.entries(keys)) {
    const value = config[key]
    if (value !== undefined && !schema().safeParse(value).success) throw invalid(key, value, allowed)
  }
  const runtime = runtimeConfig(config)
  const mac = chosenMac(config, runtime, request.args)
  const bridge = bridgeWish(config)
  const vlan = bridge === undefined ? vlanWish(config) : undefined
  const spoofchk = switchWish(config, 'spoofchk')
  const trust = switchWish(config, 'trust')
  return {
    ...device(config, runtime),
    vf: {
      ...(mac === undefined ? {} : { mac }),
      ...(vlan === undefined ? {} : { vlan }),
      ...(spoofchk === undefined ? {} : { spoofchk }),
      ...(trust === undefined ? {} : { trust }),
      ...(config.link_state === undefined
        ? {}
        : { linkState: config.link_state as 'auto' | 'enable' | 'disable' }),
    },
    rate: rateWish(config),
    mac,
    mtu: config.mtu as number | undefined,
    bridge,
    announce: announceWish(config),
    hasIpam: hasIpam(config),
    stateDir: stateDirOf(config),
    allowNodeDevice: config.allowNodeDevice === true && request.policy.allowNodeDevice,
    dns: dnsWish(config),
    warnings: [
      ...(config.ipMasq === true ? ['key "ipMasq" has no effect: a VF does not pass the host\'s stack'] : []),
      ...Object.keys(config)
        .filter((key) => !Object.hasOwn(spelling, key) && !key.startsWith('cni.dev/'))
        .map((key) => `key ${shown(key)} is not known and has no effect`),
    ],
  }
}

/** What DEL, GC and STATUS need; values that an ADD would refuse fall back, because DEL never fails for them. */
export function readTeardownConfig(request: Request): {
  readonly hasIpam: boolean
  readonly stateDir: string
  readonly gcLive: boolean
} {
  const config = given(request)
  return { hasIpam: hasIpam(config), stateDir: stateDirOf(config), gcLive: config.gcLive === true }
}

/** Which device a config names, as far as it can be read: for verbs that must not fail for the rest. */
export function readWanted(request: Request): Pick<AttachConfig, 'selectors' | 'pf'> {
  const config = given(request)
  try {
    return chosenDevice(config, runtimeConfig(config))
  } catch {
    return { selectors: [], pf: undefined }
  }
}

/** The config in official spelling. An empty string is "not given", as to the Go plugins whose configs we read. */
function given(request: Request): JsonObject {
  const entries = Object.entries(normalise(request.config, spelling))
  return Object.fromEntries(entries.filter(([, value]) => value !== ''))
}

function invalid(key: string, value: JsonValue, allowed: string): CniError {
  return new CniError(code.invalidConfig, `Cannot use ${key} ${shown(value)}: must be ${allowed}`)
}

function runtimeConfig(config: JsonObject): JsonObject {
  const value = config.runtimeConfig
  if (value === undefined) return {}
  if (!isObject(value)) throw invalid('runtimeConfig', value, 'an object')
  return normalise(value, Object.fromEntries(capabilities.map((key) => [key, true as const])))
}

/**
 * The device may be named in several ways, and Multus fills three of them at once. PCI addresses that differ are an
 * error here, other selectors are compared when the device is looked up: whichever we took, somebody would have meant
 * the other.
 */
function chosenDevice(config: JsonObject, runtime: JsonObject): Pick<AttachConfig, 'selectors' | 'pf'> {
  const chosen = namedDevice(config, runtime)
  if (chosen.pf === undefined && chosen.selectors.length === 0) {
    const words =
      'one of deviceID, pciBusID, runtimeConfig.deviceID, device, hwaddr, kernelpath or pf must name it'
    throw new CniError(code.invalidConfig, `Cannot choose a device: ${words}`)
  }
  return chosen
}

/** The same without asking that there is one. */
function namedDevice(config: JsonObject, runtime: JsonObject): Pick<AttachConfig, 'selectors' | 'pf'> {
  const wishes: readonly (readonly [string, JsonValue | undefined])[] = [
    ['deviceID', config.deviceID],
    ['pciBusID', config.pciBusID],
    ['runtimeConfig.deviceID', runtime.deviceID],
    ['device', config.device],
    ['hwaddr', config.hwaddr],
    ['kernelpath', config.kernelpath],
  ]
  const selectors = wishes.flatMap(([key, value]) =>
    value === undefined || value === '' ? [] : [selector(key, value)],
  )
  const pf = typeof config.pf === 'string' ? config.pf : undefined
  if (pf !== undefined && selectors[0] !== undefined) {
    const words = `Cannot choose a device: pf ${shown(pf)} must stand alone, and ${selectors[0].key} is given too`
    throw new CniError(code.invalidConfig, words)
  }
  const addresses = new Map(selectors.flatMap((one) => (one.by === 'pci' ? [[one.key, one.address]] : [])))
  if (new Set(addresses.values()).size > 1) {
    const list = [...addresses].map(([key, value]) => `${key} "${value}"`).join(', ')
    throw new CniError(code.invalidConfig, `Cannot choose a device: ${list} must be the same`)
  }
  return { selectors, pf }
}

function selector(key: string, value: JsonValue): Selector {
  const text = typeof value === 'string' ? value : ''
  if (key === 'device') return { by: 'name', key, name: text }
  if (key === 'kernelpath') return { by: 'kernelpath', key, path: text }
  if (key === 'hwaddr') {
    const mac = tryParseMac(text)
    if (mac === undefined) throw invalid(key, value, 'a MAC address such as 02:00:00:00:00:01')
    return { by: 'hwaddr', key, mac }
  }
  const address = parsePciAddress(text)
  if (address !== undefined) return { by: 'pci', key, address }
  // Names of the auxiliary bus (Linux Documentation/driver-api/auxiliary_bus.rst): MODULE.DEVICE.NUMBER.
  if (key !== 'pciBusID' && /^\w+\.\w+\.\d+$/.test(text)) return { by: 'auxiliary', key, name: text }
  throw invalid(key, value, 'a PCI address such as 0000:3b:02.1')
}

/** Precedence as in sriov-cni: runtimeConfig.mac, then CNI_ARGS MAC, then mac. */
function chosenMac(
  config: JsonObject,
  runtime: JsonObject,
  args: ReadonlyMap<string, string>,
): string | undefined {
  const wishes: readonly (readonly [string, JsonValue | undefined])[] = [
    ['runtimeConfig.mac', runtime.mac],
    ['CNI_ARGS MAC', args.get('MAC')],
    ['mac', config.mac],
  ]
  const wish = wishes.find(([, value]) => value !== undefined && value !== '')
  if (wish === undefined) return undefined
  const [key, value] = wish
  const mac = typeof value === 'string' ? tryParseMac(value) : undefined
  if (mac === undefined || isMulticast(mac) || isZero(mac)) {
    throw invalid(key, value ?? null, 'a unicast MAC address such as 02:00:00:00:00:01')
  }
  return mac
}

function announceWish(config: JsonObject): AttachConfig['announce'] {
  if (config.announce === undefined) return undefined
  const { count, interval, carrier } = config.announce as {
    count?: number
    interval?: number
    carrier?: number
  }
  return { count: count ?? 3, intervalMs: interval ?? 20, carrierMs: carrier ?? 200 }
}

function bridgeWish(config: JsonObject): AttachConfig['bridge'] {
  if (typeof config.bridge !== 'string') return undefined
  if (config.vlanQoS !== undefined) throw invalid('vlanQoS', config.vlanQoS, 'absent with bridge')
  if (config.vlanProto !== undefined) throw invalid('vlanProto', config.vlanProto, 'absent with bridge')
  const vlan = config.vlan as number | undefined
  return { name: config.bridge, vlan: vlan === 0 ? undefined : vlan }
}

function vlanWish(config: JsonObject): VfAttributes['vlan'] {
  const id = config.vlan as number | undefined
  const qos = config.vlanQoS as number | undefined
  const proto = (config.vlanProto as string | undefined)?.toLowerCase()
  if (id === undefined) {
    if (qos !== undefined) throw invalid('vlanQoS', qos, 'absent when vlan is absent')
    if (proto !== undefined) throw invalid('vlanProto', proto, 'absent when vlan is absent')
    return undefined
  }
  if (id === 0 && (qos ?? 0) !== 0) throw invalid('vlanQoS', qos ?? 0, '0 when vlan is 0')
  if (id === 0 && proto === '802.1ad') throw invalid('vlanProto', proto, '"802.1q" when vlan is 0')
  return { id, qos: qos ?? 0, proto: proto === '802.1ad' ? 0x88a8 : 0x8100 }
}

function rateWish(config: JsonObject): RateWish | undefined {
  const min = config.min_tx_rate as number | undefined
  const max = config.max_tx_rate as number | undefined
  if (min === undefined && max === undefined) return undefined
  if (min !== undefined && max !== undefined && max !== 0 && min > max) {
    throw invalid('min_tx_rate', min, `at most max_tx_rate (${max})`)
  }
  return { min, max }
}

function switchWish(config: JsonObject, key: 'spoofchk' | 'trust'): boolean | undefined {
  const value = config[key]
  return value === undefined ? undefined : value === 'on' || value === true
}

/** Checked by the reader of results: CHECK gets it back in one. */
function dnsWish(config: JsonObject): Dns | undefined {
  return readDns(config.dns, 'dns', invalid)
}

function hasIpam(config: JsonObject): boolean {
  const type = isObject(config.ipam) ? normalise(config.ipam, { type: true }).type : undefined
  return typeof type === 'string' && type !== ''
}

function stateDirOf(config: JsonObject): string {
  return typeof config.stateDir === 'string' && isFolderPath(config.stateDir)
    ? config.stateDir
    : defaultStateDir
}
