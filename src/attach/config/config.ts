/**
 * The network config of `vf-attach`. In: the request's config as written, its CNI_ARGS; out: all wishes that the plan needs,
 * validated, and nothing discovered. The keys (keys.ts) are those of sriov-cni and host-device, so that their configs work
 * unchanged; every refusal names the key, the value and what is allowed.
 */
import { given, readKeys, strangers } from '../../cni/config-keys.ts'
import type { Request } from '../../cni/request.ts'
import type { Dns } from '../../cni/result.ts'
import { isObject, type JsonObject, normalise, shown } from '../../lib/json.ts'
import { isFolderPath } from '../../lib/path.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { defaultStateDir } from '../../records/store.ts'
import { type ChosenDevice, chosenDevice, namedDevice } from './device.ts'
import { attachKeys, deviceKeys } from './keys.ts'
import { bridgeWish, chosenMac, type RateWish, vfWishes } from './vf-wishes.ts'

/** The wishes of the user. */
export interface AttachConfig extends ChosenDevice {
  /** PF-side attributes that were asked for, rates apart (an absent half of a rate keeps its value). */
  readonly vf: Omit<VfAttributes, 'rate'>
  readonly rate: RateWish | undefined
  /** Effective MAC in the pod; also the PF-side MAC. */
  readonly mac: string | undefined
  /** MTU of the pod's interface in bytes; absent = unchanged. */
  readonly mtu: number | undefined
  /** The bridge of the VF's representor; `vlan` is that of its port, untagged towards the pod. */
  readonly bridge: { readonly name: string; readonly vlan: number | undefined } | undefined
  /** Frames to send before ADD ends; undefined leaves announcing to the kernel, which takes its time and none of ours. */
  readonly announce:
    | { readonly count: number; readonly intervalMs: number; readonly carrierMs: number }
    | undefined
  readonly hasIpam: boolean
  readonly stateDir: string
  /** A device by which the node lives may be taken: config and policy both say so. */
  readonly allowNodeDevice: boolean
  /** The dns of the result where the IPAM plugin says nothing. */
  readonly dns: Dns | undefined
  /** The file of device information that the runtime names, unchecked. */
  readonly deviceInfoFile?: string
  /** Lines for the operator: keys that have no effect. */
  readonly warnings: readonly string[]
}

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
  const config = given(request.config, attachKeys)
  const values = readKeys(config, attachKeys)
  const { announce, stateDir, allowNodeDevice, dns, mtu } = values
  const deviceInfoFile = values.runtimeConfig?.CNIDeviceInfoFile
  const mac = chosenMac(values, request.args)
  const { rate, ...vf } = vfWishes(values, mac)
  return {
    ...device(values),
    vf,
    rate,
    mac,
    mtu,
    bridge: bridgeWish(values),
    announce: announce && {
      count: announce.count,
      intervalMs: announce.interval,
      carrierMs: announce.carrier,
    },
    hasIpam: hasIpam(config),
    stateDir,
    allowNodeDevice: allowNodeDevice && request.policy.allowNodeDevice,
    dns,
    ...(deviceInfoFile === undefined ? {} : { deviceInfoFile: String(deviceInfoFile) }),
    warnings: [
      ...(config.ipMasq === true ? ['key "ipMasq" has no effect: a VF does not pass the host\'s stack'] : []),
      ...strangers(config, attachKeys, shown),
    ],
  }
}

/** Reads the keys that DEL, GC and STATUS need. Values that an ADD would refuse fall back: DEL never fails for them. */
export function readTeardownConfig(request: Request): {
  readonly hasIpam: boolean
  readonly stateDir: string
  readonly gcLive: boolean
} {
  const config = given(request.config, attachKeys)
  const { stateDir } = config
  const isUsable = typeof stateDir === 'string' && isFolderPath(stateDir)
  return {
    hasIpam: hasIpam(config),
    stateDir: isUsable ? stateDir : defaultStateDir,
    gcLive: config.gcLive === true,
  }
}

/** The device that a config names, as far as it can be read: for verbs that must not fail for the rest. */
export function readWanted(request: Request): ChosenDevice {
  try {
    return chosenDevice(readKeys(given(request.config, deviceKeys), deviceKeys))
  } catch {
    return { selectors: [], pf: undefined }
  }
}

function hasIpam(config: JsonObject): boolean {
  const type = isObject(config.ipam) ? normalise(config.ipam, { type: true }).type : undefined
  return typeof type === 'string' && type !== ''
}
