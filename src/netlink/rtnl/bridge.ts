// VLANs of bridge ports: link messages of family AF_BRIDGE, linux/if_bridge.h.

import type { Value } from '../codec/wire.ts'
import type { Message, Request } from '../message.ts'
import { type bridge_vlan_info, bridgeAfSpec } from './bridge-attributes.ts'
import { AF, RTM } from './const.ts'
import { linkMessage, RTEXT_FILTER } from './link.ts'

/** BRIDGE_VLAN_INFO_* of linux/if_bridge.h: `flags` of struct bridge_vlan_info. */
export const BRIDGE_VLAN_INFO = {
  BRIDGE_VLAN_INFO_MASTER: 1,
  BRIDGE_VLAN_INFO_PVID: 2,
  BRIDGE_VLAN_INFO_UNTAGGED: 4,
  BRIDGE_VLAN_INFO_RANGE_BEGIN: 8,
  BRIDGE_VLAN_INFO_RANGE_END: 16,
} as const
export type BridgeVlanInfo = Value<typeof bridge_vlan_info>

/** Adds a VLAN to a bridge port, or changes the flags of a VLAN that it has. EOPNOTSUPP for an interface that is no bridge port. */
export function newBridgeVlan(index: number, vlan: BridgeVlanInfo): Request {
  return bridgeRequest('RTM_SETLINK', index, vlan)
}

/** Removes a VLAN from a bridge port; succeeds when the port doesn't have it. */
export function deleteBridgeVlan(index: number, vlan: BridgeVlanInfo): Request {
  return bridgeRequest('RTM_DELLINK', index, vlan)
}

/** For dump(): all bridge ports with their VLANs. The kernel takes no filter here; ranges keep 4094 VLANs in one message. */
export function dumpBridgeVlans(): Request {
  const filter = { ifi_family: AF.AF_BRIDGE, IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_BRVLAN_COMPRESSED }
  return linkMessage.request('RTM_GETLINK', RTM.RTM_GETLINK, 0, filter)
}

/**
 * The port's ifindex and its VLANs, as ranges if the message has ranges. The message may also be about the bridge itself (its
 * IFLA_MASTER is its own index), or about a NIC with a switch inside, which has a mode (BRIDGE_MODE).
 */
export function decodeBridgePort(message: Message): {
  readonly ifindex: number
  readonly vlans: readonly BridgeVlanInfo[]
  readonly mode: number | undefined
} {
  const { ifi_index: ifindex, IFLA_AF_SPEC: spec } = linkMessage.decode(message.payload)
  const entries = spec === undefined ? [] : bridgeAfSpec.decode(spec)
  return {
    ifindex,
    mode: entries.find(isMode)?.[1],
    vlans: entries.flatMap((entry) => (entry[0] === 'IFLA_BRIDGE_VLAN_INFO' ? [entry[1]] : [])),
  }
}

function isMode(
  entry: Value<typeof bridgeAfSpec>[number],
): entry is Extract<typeof entry, readonly ['IFLA_BRIDGE_MODE', number]> {
  return entry[0] === 'IFLA_BRIDGE_MODE'
}

function bridgeRequest(name: 'RTM_SETLINK' | 'RTM_DELLINK', index: number, vlan: BridgeVlanInfo): Request {
  return linkMessage.request(name, RTM[name], 0, {
    ifi_family: AF.AF_BRIDGE,
    ifi_index: index,
    IFLA_AF_SPEC: bridgeAfSpec.encode([['IFLA_BRIDGE_VLAN_INFO', vlan]]),
  })
}
