/** The sysctls of an interface (net/ipv4/conf, net/ipv6/conf). A move to another namespace resets them to its defaults. */
import { fromHex, toHex } from '../../lib/hex.ts'
import { afSpec } from '../../netlink/rtnl/link.ts'
import type { Op } from '../../ops/op.ts'
import type { LinkFacts, LinkSettings } from '../api/facts.ts'

/** The settings of both families; empty when the read of the interface did not ask for them. */
export function settingsOf({ afSpec: bytes }: LinkFacts): LinkSettings {
  if (bytes === undefined) return {}
  const { AF_INET, AF_INET6 } = afSpec.decode(bytes)
  const [v4, v6] = [AF_INET?.IFLA_INET_CONF, AF_INET6?.IFLA_INET6_CONF]
  return {
    ...(v4 === undefined ? {} : { v4: toHex(v4) }),
    ...(v6 === undefined ? {} : { v6: toHex(v6) }),
  }
}

/**
 * Files of net/ipv4/conf/NAME and net/ipv6/conf/NAME in the order of the kernel's arrays: IPV4_DEVCONF_* of linux/ip.h, which
 * begins with 1, and DEVCONF_* of linux/ipv6.h. `-` stands for a value that cannot be set, and for a secret.
 */
const files = {
  4: `forwarding - proxy_arp accept_redirects secure_redirects send_redirects shared_media rp_filter accept_source_route
    bootp_relay log_martians tag arp_filter medium_id disable_xfrm disable_policy force_igmp_version arp_announce arp_ignore
    promote_secondaries arp_accept arp_notify accept_local src_valid_mark proxy_arp_pvlan route_localnet
    igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval ignore_routes_with_linkdown
    drop_unicast_in_l2_multicast drop_gratuitous_arp bc_forwarding arp_evict_nocarrier`,
  6: `forwarding hop_limit mtu accept_ra accept_redirects autoconf dad_transmits router_solicitations
    router_solicitation_interval router_solicitation_delay use_tempaddr temp_valid_lft temp_prefered_lft regen_max_retry
    max_desync_factor max_addresses force_mld_version accept_ra_defrtr accept_ra_pinfo accept_ra_rtr_pref
    router_probe_interval accept_ra_rt_info_max_plen proxy_ndp optimistic_dad accept_source_route - disable_ipv6 accept_dad
    force_tllao ndisc_notify mldv1_unsolicited_report_interval mldv2_unsolicited_report_interval suppress_frag_ndisc
    accept_ra_from_local use_optimistic accept_ra_mtu - use_oif_addrs_only accept_ra_min_hop_limit
    ignore_routes_with_linkdown drop_unicast_in_l2_multicast drop_unsolicited_na keep_addr_on_down
    router_solicitation_max_interval seg6_enabled seg6_require_hmac enhanced_dad addr_gen_mode disable_policy
    accept_ra_rt_info_min_plen ndisc_tclass rpl_seg_enabled ra_defrtr_metric ioam6_enabled ioam6_id ioam6_id_wide
    ndisc_evict_nocarrier accept_untracked_na accept_ra_min_lft`,
} as const

/** Settings that are milliseconds in the array and seconds in the file (proc_dointvec_jiffies). */
const inSeconds =
  /^router_(solicitation_interval|solicitation_delay|solicitation_max_interval|probe_interval)$/
const unsigned = /^(ra_defrtr_metric|ioam6_id_wide)$/

/** Operations that change the settings of the host's interface `name` from `now` to `was`. */
export function settingOps(name: string, was: LinkSettings, now: LinkSettings): Op[] {
  return ([4, 6] as const).flatMap((family) => {
    const [old, live] = [was, now].map((one) => numbersOf(family === 4 ? one.v4 : one.v6)) as [
      Int32Array,
      Int32Array,
    ]
    return files[family].split(/\s+/).flatMap((file, at): Op[] => {
      const [wanted, found] = [old[at], live[at]]
      if (file === '-' || wanted === undefined || found === undefined || wanted === found) return []
      const key = `net/ipv${family}/conf/${name}/${file}`
      return [{ do: 'sysctl.set', side: 'host', key, value: shown(file, wanted), was: shown(file, found) }]
    })
  })
}

function shown(file: string, value: number): string {
  return String(inSeconds.test(file) ? Math.trunc(value / 1000) : unsigned.test(file) ? value >>> 0 : value)
}

function numbersOf(hex: string | undefined): Int32Array {
  const bytes = fromHex(hex ?? '')
  return new Int32Array(bytes.buffer, 0, bytes.length >>> 2)
}
