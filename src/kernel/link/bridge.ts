/** The VLANs of bridge ports, and the VEPA mode of a NIC's switch. */
import {
  BRIDGE_VLAN_INFO,
  type BridgeVlanInfo,
  decodeBridgePort,
  deleteBridgeVlan,
  dumpBridgeVlans,
  newBridgeVlan,
} from '../../netlink/rtnl/bridge.ts'
import { BRIDGE_MODE } from '../../netlink/rtnl/bridge-attributes.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { BridgeVlan } from '../../ops/op.ts'

const { BRIDGE_VLAN_INFO_PVID: PVID, BRIDGE_VLAN_INFO_UNTAGGED: UNTAGGED } = BRIDGE_VLAN_INFO
const { BRIDGE_VLAN_INFO_RANGE_BEGIN: RANGE_BEGIN } = BRIDGE_VLAN_INFO

/**
 * Adds a VLAN to a bridge port, or removes it. Adding a VLAN that the port has already sets the flags of that VLAN. A new
 * PVID replaces the old one. The caller remembers the state before, because this function does not read it.
 */
export function changeBridgeVlan(
  socket: NetlinkSocket,
  verb: 'add' | 'del',
  ifindex: number,
  vlan: BridgeVlan,
): void {
  const flags = (vlan.pvid ? PVID : 0) | (vlan.untagged ? UNTAGGED : 0)
  const info = { flags, vid: vlan.vid }
  socket.request(verb === 'add' ? newBridgeVlan(ifindex, info) : deleteBridgeVlan(ifindex, info))
}

/** The VLANs of one bridge port, ascending; an empty list when the interface is no port of a bridge. */
export function bridgeVlansOf(socket: NetlinkSocket, ifindex: number): BridgeVlan[] {
  return socket.dump(dumpBridgeVlans()).flatMap((message) => {
    const port = decodeBridgePort(message)
    return port.ifindex === ifindex ? expanded(port.vlans) : []
  })
}

/**
 * True when the switch inside a NIC is in VEPA mode: the NIC sends frames between its own ports to the switch outside.
 * False when the driver does not report a mode.
 */
export function isVepa(socket: NetlinkSocket, ifindex: number): boolean {
  return socket.dump(dumpBridgeVlans()).some((message) => {
    const port = decodeBridgePort(message)
    return port.ifindex === ifindex && port.mode === BRIDGE_MODE.BRIDGE_MODE_VEPA
  })
}

/** Expands ranges to single VLANs. An entry with RANGE_BEGIN is the first VLAN of a range, and the next entry is the last. */
function expanded(entries: readonly BridgeVlanInfo[]): BridgeVlan[] {
  return entries.flatMap(({ flags, vid }, at) => {
    const last = (flags & RANGE_BEGIN) === 0 ? vid : (entries[at + 1]?.vid ?? vid + 1) - 1
    const [pvid, untagged] = [(flags & PVID) !== 0, (flags & UNTAGGED) !== 0]
    return Array.from({ length: last - vid + 1 }, (_, more) => ({ vid: vid + more, pvid, untagged }))
  })
}
