// ethtool: standard statistics of an interface, Linux 5.13. linux/ethtool_netlink.h
import { attrs } from '../codec/attrs.ts'
import { ordered } from '../codec/lists.ts'
import { u32, u64 } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { bitset, ethtoolHeader } from './ethtool.ts'
import { genlmsghdr } from './genl.ts'

/** ETHTOOL_MSG_STATS_GET of linux/ethtool_netlink.h. */
export const ETHTOOL_STATS_MSG = { ETHTOOL_MSG_STATS_GET: 32 } as const
/** ETHTOOL_STATS_ETH_MAC: the group of counters of IEEE 802.3 clause 30. */
export const ETHTOOL_STATS = { ETHTOOL_STATS_ETH_MAC: 1 } as const

/** ETHTOOL_A_STATS_ETH_MAC_*: one counter; a driver leaves out those that it does not have. */
export const macCounter = attrs('ETHTOOL_A_STATS_ETH_MAC', () => ({
  ETHTOOL_A_STATS_ETH_MAC_2_TX_PKT: [0, u64],
  ETHTOOL_A_STATS_ETH_MAC_5_RX_PKT: [3, u64],
  ETHTOOL_A_STATS_ETH_MAC_8_TX_BYTES: [6, u64],
  ETHTOOL_A_STATS_ETH_MAC_14_RX_BYTES: [12, u64],
}))

/** ETHTOOL_A_STATS_GRP_*: a group of counters, each in a nest of its own. */
export const statsGroup = ordered('ETHTOOL_A_STATS_GRP', () => ({
  ETHTOOL_A_STATS_GRP_ID: [2, u32],
  ETHTOOL_A_STATS_GRP_SS_ID: [3, u32],
  ETHTOOL_A_STATS_GRP_STAT: [4, macCounter],
}))

/** ETHTOOL_A_STATS_* of linux/ethtool_netlink.h. */
export const stats = attrs('ETHTOOL_A_STATS', () => ({
  ETHTOOL_A_STATS_HEADER: [2, ethtoolHeader],
  ETHTOOL_A_STATS_GROUPS: [3, bitset],
  ETHTOOL_A_STATS_GRP: [4, statsGroup],
  ETHTOOL_A_STATS_SRC: [5, u32],
}))

/** The payload of ETHTOOL_MSG_STATS_GET and its reply. */
export const statsMessage = family(genlmsghdr, stats)

/** Frames and bytes of the wire. */
export interface MacCounters {
  readonly received: { readonly packets: bigint; readonly bytes: bigint }
  readonly sent: { readonly packets: bigint; readonly bytes: bigint }
}

/** Asks for the counters of the MAC of one interface; ENODEV without it, EOPNOTSUPP where the driver has none. */
export function getMacCounters(familyId: number, ifindex: number): Request {
  return statsMessage.request('ETHTOOL_MSG_STATS_GET', familyId, 0, {
    cmd: ETHTOOL_STATS_MSG.ETHTOOL_MSG_STATS_GET,
    version: 1,
    ETHTOOL_A_STATS_HEADER: { ETHTOOL_A_HEADER_DEV_INDEX: ifindex },
    ETHTOOL_A_STATS_GROUPS: {
      ETHTOOL_A_BITSET_NOMASK: true,
      ETHTOOL_A_BITSET_BITS: [{ ETHTOOL_A_BITSET_BIT_INDEX: ETHTOOL_STATS.ETHTOOL_STATS_ETH_MAC }],
    },
  })
}

/** The counters in an answer; undefined where the driver lacks one of the four. */
export function decodeMacCounters(message: Message): MacCounters | undefined {
  const group = statsMessage.decode(message.payload).ETHTOOL_A_STATS_GRP ?? []
  const found = Object.assign(
    {},
    ...group.flatMap(([name, value]) => (name === 'ETHTOOL_A_STATS_GRP_STAT' ? [value] : [])),
  ) as Partial<Record<keyof (typeof macCounter)['table'], bigint>>
  const {
    ETHTOOL_A_STATS_ETH_MAC_5_RX_PKT: inPackets,
    ETHTOOL_A_STATS_ETH_MAC_14_RX_BYTES: inBytes,
    ETHTOOL_A_STATS_ETH_MAC_2_TX_PKT: outPackets,
    ETHTOOL_A_STATS_ETH_MAC_8_TX_BYTES: outBytes,
  } = found
  if (inPackets === undefined || inBytes === undefined) return undefined
  if (outPackets === undefined || outBytes === undefined) return undefined
  return { received: { packets: inPackets, bytes: inBytes }, sent: { packets: outPackets, bytes: outBytes } }
}
