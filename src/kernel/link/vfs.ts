/** Reads and sets the attributes of a VF on its PF (IFLA_VF_INFO). */
import type { OfKind } from '../../lib/error-kind.ts'
import { setLink } from '../../netlink/rtnl/link.ts'
import { VF_LINK_STATE, type VfInfo, vfSetting } from '../../netlink/rtnl/vf.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { VfAttributes } from '../../ops/op.ts'

const linkStates = ['auto', 'enable', 'disable'] as const

/** The config key of each attribute: errors name the key that the user has written. */
const configKeys: Readonly<Record<keyof VfAttributes, string>> = {
  mac: 'mac',
  vlan: 'vlan',
  rate: 'max_tx_rate/min_tx_rate',
  spoofchk: 'spoofchk',
  trust: 'trust',
  linkState: 'link_state',
}

/**
 * Index and attributes of one VF; undefined for an entry without a MAC, because the index stands beside the MAC. Attributes
 * that the driver does not report are absent.
 */
export function vfAttributesOf(info: VfInfo): [readonly [number, VfAttributes]] | undefined {
  const { IFLA_VF_MAC: mac, IFLA_VF_VLAN: vlan, IFLA_VF_RATE: rate } = info
  if (mac === undefined) return undefined
  const proto = info.IFLA_VF_VLAN_LIST?.[0]?.vlan_proto ?? 0x8100
  const spoofchk = vfSetting(info.IFLA_VF_SPOOFCHK?.setting)
  const trust = vfSetting(info.IFLA_VF_TRUST?.setting)
  const linkState = linkStates[info.IFLA_VF_LINK_STATE?.link_state ?? -1]
  const attributes: VfAttributes = {
    mac: mac.mac,
    ...(vlan === undefined ? {} : { vlan: { id: vlan.vlan, qos: vlan.qos, proto } }),
    ...(rate === undefined ? {} : { rate: { min: rate.min_tx_rate, max: rate.max_tx_rate } }),
    ...(spoofchk === undefined ? {} : { spoofchk }),
    ...(trust === undefined ? {} : { trust }),
    ...(linkState === undefined ? {} : { linkState }),
  }
  return [[mac.vf, attributes]]
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
        if (error instanceof Error) guilty = new VfRefusal(configKeys[key], words(value), error)
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
  const { mac, vlan, rate, spoofchk, trust, linkState } = set
  const info: VfInfo = {
    ...(mac === undefined ? {} : { IFLA_VF_MAC: { vf, mac } }),
    ...(vlan === undefined
      ? {}
      : { IFLA_VF_VLAN_LIST: [{ vf, vlan: vlan.id, qos: vlan.qos, vlan_proto: vlan.proto }] }),
    ...(rate === undefined ? {} : { IFLA_VF_RATE: { vf, min_tx_rate: rate.min, max_tx_rate: rate.max } }),
    ...(spoofchk === undefined ? {} : { IFLA_VF_SPOOFCHK: { vf, setting: spoofchk ? 1 : 0 } }),
    ...(trust === undefined ? {} : { IFLA_VF_TRUST: { vf, setting: trust ? 1 : 0 } }),
    ...(linkState === undefined
      ? {}
      : { IFLA_VF_LINK_STATE: { vf, link_state: linkStateNumbers[linkState] } }),
  }
  socket.request(setLink({ ifi_index: pfIndex, IFLA_VFINFO_LIST: [info] }))
}

const linkStateNumbers = {
  auto: VF_LINK_STATE.IFLA_VF_LINK_STATE_AUTO,
  enable: VF_LINK_STATE.IFLA_VF_LINK_STATE_ENABLE,
  disable: VF_LINK_STATE.IFLA_VF_LINK_STATE_DISABLE,
}

function words(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
