/** VLANs of bridge ports. */
import {
  BRIDGE_VLAN_INFO,
  type BridgeVlanInfo,
  decodeBridgePort,
  deleteBridgeVlan,
  dumpBridgeVlans,
  newBridgeVlan,
} from '../../netlink/rtnl/bridge.ts'
import { BRIDGE_MODE } from '../../netlink/rtnl/link.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { BridgeVlan } from '../../ops/op.ts'

const { BRIDGE_VLAN_INFO_PVID: PVID, BRIDGE_VLAN_INFO_UNTAGGED: UNTAGGED } = BRIDGE_VLAN_INFO
const { BRIDGE_VLAN_INFO_RANGE_BEGIN: RANGE_BEGIN } = BRIDGE_VLAN_INFO

/**
 * Adds a VLAN to a bridge port or takes it away. To add one that the port has sets its flags, and a new PVID takes the
 * old one's place: what was there before is the caller's to know.
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

/** VLANs of one bridge port, ascending; none when it is no port of a bridge. */
export function bridgeVlansOf(socket: NetlinkSocket, ifindex: number): BridgeVlan[] {
  return socket.dump(dumpBridgeVlans()).flatMap((message) => {
    const port = decodeBridgePort(message)
    return port.ifindex === ifindex ? expanded(port.vlans) : []
  })
}

/**
 * True when the switch inside a NIC is in VEPA mode: it hands what its ports send each other to the switch outside. False
 * for one that does not say.
 */
export function isVepa(socket: NetlinkSocket, ifindex: number): boolean {
  return socket.dump(dumpBridgeVlans()).some((message) => {
    const port = decodeBridgePort(message)
    return port.ifindex === ifindex && port.mode === BRIDGE_MODE.BRIDGE_MODE_VEPA
  })
}

/** Ranges as single VLANs: an entry with RANGE_BEGIN and the one behind it are both ends. */
function expanded(entries: readonly BridgeVlanInfo[]): BridgeVlan[] {
  return entries.flatMap(({ flags, vid }, at) => {
    const last = (flags & RANGE_BEGIN) === 0 ? vid : (entries[at + 1]?.vid ?? vid + 1) - 1
    const [pvid, untagged] = [(flags & PVID) !== 0, (flags & UNTAGGED) !== 0]
    return Array.from({ length: last - vid + 1 }, (_, more) => ({ vid: vid + more, pvid, untagged }))
  })
}
