/**
 * The tests of the kernel's folder tools/testing/selftests/net/forwarding that run on the simulated card, and the cases that do not
 * pass there, or not in the card, each with its reason. A case is named as the test prints it. Whatever else happens fails
 * `npm run test:selftests`; so does a case of this list that passes all the same.
 */

/** Cases that are not what they would be on their own. */
export interface Listed {
  /** Matches the whole name. */
  readonly cases: RegExp
  readonly reason: string
}

/** One test script, without `.sh`. */
export interface Selftest {
  readonly name: string
  /** True: its filters carry no flag, so those at the ingress of the switch's ports are given skip_sw. */
  readonly force?: true
  /** Functions of the script that run; all of them when absent. */
  readonly functions?: readonly string[]
  /** Functions that measure rates: they run where mausezahn sends as many packets per second from host to host. */
  readonly fast?: { readonly functions: readonly string[]; readonly packetsPerSecond: number }
  /** Functions of the script that do not run. */
  readonly omitted?: readonly { readonly name: string; readonly reason: string }[]
  /** Cases that fail. */
  readonly failing?: readonly Listed[]
  /** Cases that pass, but in the kernel's software. */
  readonly software?: readonly Listed[]
}

/**
 * Checked in TC_SETUP_BLOCK of Linux 6.12 for a card's own ports: mlx5e_setup_tc(), mlx5e_rep_setup_tc(), ice_setup_tc(),
 * ice_repr_setup_tc(), nfp_flower_setup_tc_block(), efx_tc_setup_block(), bnxt_setup_tc(), bnxt_vf_rep_setup_tc(). Others have a use
 * for the egress hook: cxgb4 and octeontx2 for matchall, switches for flower.
 */
const INGRESS_ALONE =
  'simnic takes filters at the ingress hook of its ports alone, as mlx5, ice, nfp, sfc and bnxt do'

const EGRESS: Listed = {
  cases: /dev \S+ egress pedit .*|VLAN modify at egress|police .*\btx\b.*/,
  reason: `a filter at the egress hook: ${INGRESS_ALONE}`,
}

export const selftests: readonly Selftest[] = [
  {
    name: 'tc_flower',
    failing: [
      {
        cases: /mpls.\w+ match .*/,
        reason: 'simnic matches no MPLS labels: nothing here needs them',
      },
    ],
  },
  {
    name: 'tc_actions',
    functions: [
      'gact_drop_and_ok_test',
      'mirred_egress_redirect_test',
      'mirred_egress_mirror_test',
      'matchall_mirred_egress_mirror_test',
      'gact_trap_test',
      'mirred_egress_to_ingress_test',
      'ingress_2nd_vlan_push',
      'egress_2nd_vlan_push',
    ],
    omitted: [
      {
        name: 'mirred_egress_to_ingress_tcp_test',
        reason:
          'asks for skip_sw at the egress hook of a host, with ct, skbedit and a redirect to ingress: no driver takes that, and the test waits for ever for the connection that its filter would make',
      },
    ],
    failing: [
      {
        cases: /egress_2nd_vlan_push .*/,
        reason: `asks for skip_sw at the egress hook: ${INGRESS_ALONE}`,
      },
    ],
    software: [
      {
        cases: /mirred_egress_to_ingress .*/,
        reason: 'its filters have no flag, and the one that redirects is at the egress hook, with ct',
      },
    ],
  },
  { name: 'tc_vlan_modify', force: true, software: [EGRESS] },
  { name: 'pedit_dsfield', force: true, software: [EGRESS] },
  { name: 'pedit_ip', force: true, software: [EGRESS] },
  { name: 'pedit_l4port', force: true, software: [EGRESS] },
  {
    name: 'tc_police',
    force: true,
    functions: ['police_mtu_rx_test', 'police_mtu_tx_test'],
    fast: {
      functions: [
        'police_rx_test',
        'police_tx_test',
        'police_rx_mirror_test',
        'police_tx_mirror_test',
        'police_pps_rx_test',
        'police_pps_tx_test',
      ],
      packetsPerSecond: 5_000,
    },
    omitted: [
      {
        name: 'police_shared_test',
        reason:
          'shares one meter between the card and a filter at the egress hook, which is software: the kernel refuses that for filters with skip_sw ("Mismatch between action and filter offload flags")',
      },
    ],
    failing: [
      {
        cases: /police mtu \(rx\)/,
        reason:
          'asks tc for overlimits: the kernel adds what a card has dropped to drops alone (act_api.c, tcf_action_update_stats())',
      },
    ],
    software: [EGRESS],
  },
  {
    name: 'tc_chains',
    software: [
      {
        cases: /create destroy chain|template filter fits/,
        reason: 'about chains and templates in the kernel: its filters have no flag',
      },
    ],
  },
  { name: 'tc_shblocks' },
]
