// Virtual functions in the messages of a PF: IFLA_VFINFO_LIST of linux/if_link.h, one IFLA_VF_INFO nest per VF. A driver
// leaves out what it doesn't know, or reports 0xffffffff for it (vfSetting).
import { hexOctets } from '../../lib/mac.ts'
import { type AttrsOf, attrs } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { struct } from '../codec/struct.ts'
import { Base, be16, bytes, type FixedCodec, lladdr, need, u32, u64, type Writer } from '../codec/wire.ts'

/** The value of `setting` and `link_state` fields that the driver doesn't report (rtnl_fill_vfinfo, net/core/rtnetlink.c). */
export const NOT_REPORTED = 0xffffffff
/** IFLA_VF_LINK_STATE_* of linux/if_link.h. */
export const VF_LINK_STATE = {
  IFLA_VF_LINK_STATE_AUTO: 0,
  IFLA_VF_LINK_STATE_ENABLE: 1,
  IFLA_VF_LINK_STATE_DISABLE: 2,
} as const

/**
 * MAX_ADDR_LEN bytes without a length. The value ends with the sixth octet; if later octets are non-zero, with the twentieth
 * (InfiniBand) or the last.
 */
class LongAddress extends Base<string> implements FixedCodec<string> {
  readonly kind = 'lladdr[32]'
  readonly size = 32

  write(out: Writer, value: string): void {
    const start = out.at
    lladdr.write(out, value)
    if (out.at - start > this.size) throw new RangeError(`Cannot encode ${this.kind}: "${value}" is too long`)
    out.skip(start + this.size - out.at)
  }

  read(from: Uint8Array, at: number, end: number): string {
    need(this.kind, this.size, end - at)
    let length = this.size
    while (length > 0 && from[at + length - 1] === 0) length--
    return hexOctets(from, at, at + (length <= 6 ? 6 : length <= 20 ? 20 : 32))
  }
}

const longAddress: FixedCodec<string> = new LongAddress()

/** struct ifla_vf_mac, linux/if_link.h. All zeros: the administrator has set no address. */
export const ifla_vf_mac = struct('ifla_vf_mac', [
  ['vf', u32],
  ['mac', longAddress],
])
/** struct ifla_vf_broadcast, linux/if_link.h */
export const ifla_vf_broadcast = struct('ifla_vf_broadcast', [['broadcast', longAddress]])
/** struct ifla_vf_vlan, linux/if_link.h. vlan 0-4095, 0 = none; qos 0-7. */
export const ifla_vf_vlan = struct('ifla_vf_vlan', [
  ['vf', u32],
  ['vlan', u32],
  ['qos', u32],
])
/** struct ifla_vf_vlan_info, linux/if_link.h. vlan_proto 0x8100 or 0x88a8. */
export const ifla_vf_vlan_info = struct('ifla_vf_vlan_info', [
  ['vf', u32],
  ['vlan', u32],
  ['qos', u32],
  ['vlan_proto', be16],
  ['_pad', bytes(2)],
])
/** struct ifla_vf_tx_rate, linux/if_link.h. Mbit/s, 0 = no limit. */
export const ifla_vf_tx_rate = struct('ifla_vf_tx_rate', [
  ['vf', u32],
  ['rate', u32],
])
/** struct ifla_vf_rate, linux/if_link.h. Mbit/s, 0 = no limit. */
export const ifla_vf_rate = struct('ifla_vf_rate', [
  ['vf', u32],
  ['min_tx_rate', u32],
  ['max_tx_rate', u32],
])
/** struct ifla_vf_spoofchk, linux/if_link.h. 0, 1 or NOT_REPORTED. */
export const ifla_vf_spoofchk = struct('ifla_vf_spoofchk', [
  ['vf', u32],
  ['setting', u32],
])
/** struct ifla_vf_link_state, linux/if_link.h. VF_LINK_STATE. */
export const ifla_vf_link_state = struct('ifla_vf_link_state', [
  ['vf', u32],
  ['link_state', u32],
])
/** struct ifla_vf_rss_query_en, linux/if_link.h. 0, 1 or NOT_REPORTED. */
export const ifla_vf_rss_query_en = struct('ifla_vf_rss_query_en', [
  ['vf', u32],
  ['setting', u32],
])
/** struct ifla_vf_trust, linux/if_link.h. 0, 1 or NOT_REPORTED. */
export const ifla_vf_trust = struct('ifla_vf_trust', [
  ['vf', u32],
  ['setting', u32],
])
/** struct ifla_vf_guid, linux/if_link.h */
export const ifla_vf_guid = struct('ifla_vf_guid', [
  ['vf', u32],
  ['_pad', bytes(4)],
  ['guid', u64],
])

/** IFLA_VF_STATS_* of linux/if_link.h. */
export const vfStats = attrs('IFLA_VF_STATS', () => ({
  IFLA_VF_STATS_RX_PACKETS: [0, u64],
  IFLA_VF_STATS_TX_PACKETS: [1, u64],
  IFLA_VF_STATS_RX_BYTES: [2, u64],
  IFLA_VF_STATS_TX_BYTES: [3, u64],
  IFLA_VF_STATS_BROADCAST: [4, u64],
  IFLA_VF_STATS_MULTICAST: [5, u64],
  IFLA_VF_STATS_RX_DROPPED: [7, u64],
  IFLA_VF_STATS_TX_DROPPED: [8, u64],
}))

/** IFLA_VF_VLAN_LIST: the kernel takes and sends one entry. */
export const vfVlanList = repeated('IFLA_VF_VLAN_INFO', [1, ifla_vf_vlan_info])

/**
 * IFLA_VF_* of linux/if_link.h: one VF. The kernel applies a request in the order MAC, VLAN, VLAN_LIST, TX_RATE, RATE, SPOOFCHK,
 * LINK_STATE, RSS_QUERY_EN, TRUST, whatever the order of the request, and stops at the first refusal (do_setvfinfo).
 */
export const vfInfo = attrs('IFLA_VF', () => ({
  IFLA_VF_MAC: [1, ifla_vf_mac],
  IFLA_VF_VLAN: [2, ifla_vf_vlan],
  IFLA_VF_TX_RATE: [3, ifla_vf_tx_rate],
  IFLA_VF_SPOOFCHK: [4, ifla_vf_spoofchk],
  IFLA_VF_LINK_STATE: [5, ifla_vf_link_state],
  IFLA_VF_RATE: [6, ifla_vf_rate],
  IFLA_VF_RSS_QUERY_EN: [7, ifla_vf_rss_query_en],
  IFLA_VF_STATS: [8, vfStats, 'noflag'],
  IFLA_VF_TRUST: [9, ifla_vf_trust],
  IFLA_VF_IB_NODE_GUID: [10, ifla_vf_guid],
  IFLA_VF_IB_PORT_GUID: [11, ifla_vf_guid],
  IFLA_VF_VLAN_LIST: [12, vfVlanList, 'noflag'],
  IFLA_VF_BROADCAST: [13, ifla_vf_broadcast],
}))
export type VfInfo = AttrsOf<(typeof vfInfo)['table']>

/** IFLA_VFINFO_LIST */
export const vfInfoList = repeated('IFLA_VF_INFO', [1, vfInfo, 'noflag'])

/** A VF's on/off setting; undefined where the driver doesn't report it. */
export function vfSetting(setting: number | undefined): boolean | undefined {
  return setting === undefined || setting === NOT_REPORTED ? undefined : setting !== 0
}
