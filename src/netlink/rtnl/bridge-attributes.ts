// Attributes of bridges and of their ports: linux/if_link.h, linux/if_bridge.h.
import { attrs } from '../codec/attrs.ts'
import { ordered } from '../codec/lists.ts'
import { struct } from '../codec/struct.ts'
import { be16, u8, u16, u32 } from '../codec/wire.ts'

/** BRIDGE_MODE_* of linux/if_bridge.h: IFLA_BRIDGE_MODE in IFLA_AF_SPEC of an AF_BRIDGE link. */
export const BRIDGE_MODE = { BRIDGE_MODE_VEB: 0, BRIDGE_MODE_VEPA: 1 } as const

/** IFLA_BR_* of linux/if_link.h: the few that we set or read. */
export const bridgeData = attrs('IFLA_BR', () => ({
  IFLA_BR_STP_STATE: [5, u32],
  IFLA_BR_VLAN_FILTERING: [7, u8],
  IFLA_BR_VLAN_PROTOCOL: [8, be16],
}))

/** struct bridge_vlan_info, linux/if_bridge.h */
export const bridge_vlan_info = struct('bridge_vlan_info', [
  ['flags', u16],
  ['vid', u16],
])

/** IFLA_AF_SPEC of a link message of family AF_BRIDGE: IFLA_BRIDGE_* of linux/if_bridge.h. VLAN_INFO repeats. */
export const bridgeAfSpec = ordered('IFLA_BRIDGE', () => ({
  IFLA_BRIDGE_FLAGS: [0, u16],
  IFLA_BRIDGE_MODE: [1, u16],
  IFLA_BRIDGE_VLAN_INFO: [2, bridge_vlan_info],
}))

/** IFLA_BRPORT_* of linux/if_link.h: IFLA_INFO_SLAVE_DATA of a port of a bridge, as far as a request can set it. */
export const brportData = attrs('IFLA_BRPORT', () => ({
  IFLA_BRPORT_PRIORITY: [2, u16],
  IFLA_BRPORT_COST: [3, u32],
  IFLA_BRPORT_MODE: [4, u8],
  IFLA_BRPORT_GUARD: [5, u8],
  IFLA_BRPORT_PROTECT: [6, u8],
  IFLA_BRPORT_FAST_LEAVE: [7, u8],
  IFLA_BRPORT_LEARNING: [8, u8],
  IFLA_BRPORT_UNICAST_FLOOD: [9, u8],
  IFLA_BRPORT_PROXYARP: [10, u8],
  IFLA_BRPORT_PROXYARP_WIFI: [12, u8],
  IFLA_BRPORT_MULTICAST_ROUTER: [25, u8],
  IFLA_BRPORT_MCAST_FLOOD: [27, u8],
  IFLA_BRPORT_MCAST_TO_UCAST: [28, u8],
  IFLA_BRPORT_VLAN_TUNNEL: [29, u8],
  IFLA_BRPORT_BCAST_FLOOD: [30, u8],
  IFLA_BRPORT_GROUP_FWD_MASK: [31, u16],
  IFLA_BRPORT_NEIGH_SUPPRESS: [32, u8],
  IFLA_BRPORT_ISOLATED: [33, u8],
  IFLA_BRPORT_BACKUP_PORT: [34, u32],
  IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT: [37, u32],
  IFLA_BRPORT_LOCKED: [39, u8],
  IFLA_BRPORT_MAB: [40, u8],
  IFLA_BRPORT_MCAST_MAX_GROUPS: [42, u32],
  IFLA_BRPORT_NEIGH_VLAN_SUPPRESS: [43, u8],
}))
