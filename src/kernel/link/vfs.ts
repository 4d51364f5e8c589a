/** Reads and sets the attributes of a VF on its PF (IFLA_VF_INFO). */
import type { OfKind } from '../../lib/error-kind.ts'
import { setLink } from '../../netlink/rtnl/link.ts'
import { VF_LINK_STATE, type VfInfo, vfSetting } from '../../netlink/rtnl/vf.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { VfAttributes } from '../../ops/op.ts'
import { vfAttributeNames, vfAttributes } from '../../ops/vf-attributes.ts'

/** The states of a VF's link by their numbers. */
const linkStates = {
  auto: VF_LINK_STATE.IFLA_VF_LINK_STATE_AUTO,
  enable: VF_LINK_STATE.IFLA_VF_LINK_STATE_ENABLE,
  disable: VF_LINK_STATE.IFLA_VF_LINK_STATE_DISABLE,
}

/** Each attribute in netlink: read from the kernel's answer, undefined where the driver does not report it, and written to a request. */
const inNetlink: {
  readonly [K in keyof VfAttributes]-?: {
    readonly read: (info: VfInfo) => VfAttributes[K]
    readonly write: (vf: number, value: NonNullable<VfAttributes[K]>) => VfInfo
  }
} = {
  mac: {
    read: (info) => info.IFLA_VF_MAC?.mac,
    write: (vf, mac) => ({ IFLA_VF_MAC: { vf, mac } }),
  },
  vlan: {
    read: ({ IFLA_VF_VLAN: vlan, IFLA_VF_VLAN_LIST: list }) =>
      vlan && { id: vlan.vlan, qos: vlan.qos, proto: list?.[0]?.vlan_proto ?? 0x8100 },
    write: (vf, { id, qos, proto }) => ({ IFLA_VF_VLAN_LIST: [{ vf, vlan: id, qos, vlan_proto: proto }] }),
  },
  rate: {
    read: ({ IFLA_VF_RATE: rate }) => rate && { min: rate.min_tx_rate, max: rate.max_tx_rate },
    write: (vf, { min, max }) => ({ IFLA_VF_RATE: { vf, min_tx_rate: min, max_tx_rate: max } }),
  },
  spoofchk: {
    read: (info) => vfSetting(info.IFLA_VF_SPOOFCHK?.setting),
    write: (vf, isOn) => ({ IFLA_VF_SPOOFCHK: { vf, setting: isOn ? 1 : 0 } }),
  },
  trust: {
    read: (info) => vfSetting(info.IFLA_VF_TRUST?.setting),
    write: (vf, isOn) => ({ IFLA_VF_TRUST: { vf, setting: isOn ? 1 : 0 } }),
  },
  linkState: {
    read: ({ IFLA_VF_LINK_STATE: state }) =>
      (['auto', 'enable', 'disable'] as const).find((word) => linkStates[word] === state?.link_state),
    write: (vf, state) => ({ IFLA_VF_LINK_STATE: { vf, link_state: linkStates[state] } }),
  },
}

/**
 * Index and attributes of one VF; undefined for an entry without a MAC, because the index stands beside the MAC. Attributes
 * that the driver does not report are absent.
 */
export function vfAttributesOf(info: VfInfo): [readonly [number, VfAttributes]] | undefined {
  const { IFLA_VF_MAC: mac } = info
  if (mac === undefined) return undefined
  const found = vfAttributeNames.map((name) => [name, inNetlink[name].read(info)] as const)
  return [[mac.vf, Object.fromEntries(found.filter(([, value]) => value !== undefined))]]
}

/** A PF refused one attribute of a VF. `key` is the config key. The kernel gives no reason in words (ndo_set_vf_*). */
export class VfRefusal extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly key: string
  readonly code: string

  constructor(key: string, value: string, reason: Error & { readonly code?: unknown }) {
    super(`${key} ${value}: ${reason.message}`, { cause: reason })
    this.name = 'VfRefusal'
    this.key = key
    this.code = typeof reason.code === 'string' ? reason.code : 'EINVAL'
  }
}

/**
 * Sets attributes of one VF in one RTM_SETLINK. The kernel sets them one after the other, stops at the first that the driver
 * refuses, and does not name it (do_setvfinfo). This function then tries each attribute alone to find the refused one, and
 * sets each back to `was`.
 * @throws VfRefusal, with nothing changed
 */
export function setVf(
  socket: NetlinkSocket,
  pfIndex: number,
  vf: number,
  set: VfAttributes,
  was: VfAttributes,
): void {
  try {
    request(socket, pfIndex, vf, set)
  } catch (error) {
    const guilty = findGuilty(socket, pfIndex, vf, set, was)
    throw guilty ?? error
  }
}

function findGuilty(
  socket: NetlinkSocket,
  pfIndex: number,
  vf: number,
  set: VfAttributes,
  was: VfAttributes,
): VfRefusal | undefined {
  let guilty: VfRefusal | undefined
  for (const [key, value] of Object.entries(set) as [keyof VfAttributes, unknown][]) {
    if (value === undefined) continue
    if (guilty === undefined) {
      try {
        request(socket, pfIndex, vf, { [key]: value })
      } catch (error) {
        if (error instanceof Error) guilty = new VfRefusal(vfAttributes[key].key, words(value), error)
      }
    }
    const old = was[key]
    if (old === undefined) continue
    try {
      request(socket, pfIndex, vf, { [key]: old })
    } catch {
      // Some drivers refuse even the value that they report (rates while the PF is down). Nothing has changed in that case.
    }
  }
  return guilty
}

function request(socket: NetlinkSocket, pfIndex: number, vf: number, set: VfAttributes): void {
  const parts = vfAttributeNames.map((name) => partOf(vf, name, set[name]))
  const info: VfInfo = Object.assign({}, ...parts)
  socket.request(setLink({ ifi_index: pfIndex, IFLA_VFINFO_LIST: [info] }))
}

/** The entry of an attribute takes the values of that attribute, which the compiler does not see in a union. */
function partOf(vf: number, name: keyof VfAttributes, value: unknown): VfInfo {
  if (value === undefined) return {}
  return (inNetlink[name].write as (vf: number, value: unknown) => VfInfo)(vf, value)
}

function words(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
