// Checksums after a rewrite. linux/tc_act/tc_csum.h
import { attrs } from '../../codec/attrs.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, u32 } from '../../codec/wire.ts'
import { tc_gen, tcf_t } from './gact.ts'

/** TCA_CSUM_UPDATE_FLAG_* of linux/tc_act/tc_csum.h. IPv6 has no header checksum: a filter for IPv6 leaves IPV4HDR out. */
export const TCA_CSUM_UPDATE_FLAG = {
  TCA_CSUM_UPDATE_FLAG_IPV4HDR: 1,
  TCA_CSUM_UPDATE_FLAG_ICMP: 2,
  TCA_CSUM_UPDATE_FLAG_IGMP: 4,
  TCA_CSUM_UPDATE_FLAG_TCP: 8,
  TCA_CSUM_UPDATE_FLAG_UDP: 16,
  TCA_CSUM_UPDATE_FLAG_UDPLITE: 32,
  TCA_CSUM_UPDATE_FLAG_SCTP: 64,
} as const

/** struct tc_csum, linux/tc_act/tc_csum.h */
export const tc_csum = struct('tc_csum', [...tc_gen, ['update_flags', u32]])

/** TCA_CSUM_* of linux/tc_act/tc_csum.h. */
export const csum = attrs('TCA_CSUM', () => ({
  TCA_CSUM_PARMS: [1, tc_csum],
  TCA_CSUM_TM: [2, tcf_t],
  TCA_CSUM_PAD: [3, bytes()],
}))
