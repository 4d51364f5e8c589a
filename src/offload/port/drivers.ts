/**
 * Drivers of NICs whose carrying out of filters and rates differs from what the kernel shows. The facts are read in the drivers'
 * sources (Linux 6.12), below drivers/net/ethernet; none was seen on hardware. Pure.
 */

/** A fact about a driver. */
export interface Sourced {
  /** The function in which the fact can be read, and its file below drivers/net/ethernet. */
  readonly source: string
}

/** The facts about one driver. A fact that is absent is not known of the driver. */
export interface DriverFacts {
  /** Kinds of actions (TCA_ACT_KIND) that the driver accepts and does not do. `mirred mirror` is the mirror alone. */
  readonly ignores?: Sourced & { readonly kinds: readonly string[] }
  /** The driver accepts a rewritten port and writes another one. */
  readonly losesPortRewrite?: Sourced
  /** Beside a VLAN tag that is added or removed, the driver accepts rewritten MAC addresses and writes other ones. */
  readonly losesMacsBesideTag?: Sourced
  /** The driver takes a redirect to and from a representor, and refuses every rewrite and every VLAN action beside it. */
  readonly redirectsOnly?: Sourced
  /** Of two filters that match one frame the one that was added first may win, whatever their priorities say. */
  readonly dropsPriorities?: Sourced
  /** The driver refuses every key on fragments (`ip_flags`). */
  readonly refusesFragmentKey?: Sourced
  /**
   * Without representors the driver takes a redirect to the interface that the filter is on: on a PF, for its VFs, and on an uplink,
   * for a NIC of its own elsewhere on the wire. Nobody has shown that a card delivers such a frame.
   */
  readonly hairpin?: Sourced & { readonly of: readonly ('vf' | 'nic')[] }
  /** `max_tx_rate` is cut to a multiple of so many Mbit/s, and is one of them at the least. */
  readonly rateStep?: Sourced & { readonly megabits: number }
  /**
   * A policer for all that a representor receives is carried out by the rate limiter of the VF, in whole Mbit/s: the one
   * that `tx_max` sets. Who writes last wins, and with the filter every limit goes, also one that was there before.
   */
  readonly policesByPort?: Sourced
  /** A policer's rate is kept in 32 bits, and higher bits are lost: the first rate, in bytes/s, that is not what it says. */
  readonly policeRateEnd?: Sourced & { readonly bytesPerSecond: number }
  /** The highest burst of a policer, in bytes; a higher one is cut. */
  readonly policeBurstMax?: Sourced & { readonly bytes: number }
  /** A policer counts the length of the IP packet, not of the frame. */
  readonly policesIpLength?: Sourced
  /** Cards without an object for meters refuse a filter with a policer (EOPNOTSUPP) without a word. */
  readonly metersOf?: Sourced & {
    /** The cards that have the object. */
    readonly cards: string
    /** The driver's words about a policer by itself that it can't have. */
    readonly words: string
  }
  /** The driver refuses every filter with this errno and without a text while something of the card runs. */
  readonly refusesAllWhile?: Sourced & {
    /** Name of the errno. */
    readonly code: string
    /** The thing and its verb, for people. */
    readonly what: string
    /** The command that ends it, for the PF of this name. */
    readonly stoppedBy: (pf: string) => string
  }
  /** devlink answers EOPNOTSUPP for the eSwitch's mode where another system manages the eSwitch. */
  readonly managedElsewhere?: Sourced & { readonly where: string }
  /** devlink tells no mode of the eSwitch, and the card is in switchdev mode from the time it has VFs. */
  readonly representorsWithoutMode?: Sourced
}

const ef100: DriverFacts = {
  dropsPriorities: { source: 'efx_tc_flower_replace() of sfc/tc.c' },
  representorsWithoutMode: { source: 'efx_ef100_pci_sriov_enable() of sfc/ef100_sriov.c' },
}

/** By the name of the PF's driver in sysfs. */
const drivers: Readonly<Record<string, DriverFacts>> = {
  bnxt_en: {
    ignores: {
      kinds: ['csum', 'police', 'ct', 'mirred mirror'],
      source: 'bnxt_tc_parse_actions() of broadcom/bnxt/bnxt_tc.c',
    },
    losesPortRewrite: { source: 'bnxt_tc_parse_pedit() of broadcom/bnxt/bnxt_tc.c' },
    losesMacsBesideTag: { source: 'bnxt_hwrm_cfa_flow_alloc() of broadcom/bnxt/bnxt_tc.c' },
    dropsPriorities: { source: 'bnxt_hwrm_cfa_flow_alloc() of broadcom/bnxt/bnxt_tc.c' },
    refusesFragmentKey: { source: 'bnxt_tc_parse_flow() of broadcom/bnxt/bnxt_tc.c' },
  },
  cxgb4: {
    hairpin: { of: ['nic'], source: 'cxgb4_validate_flow_actions() of chelsio/cxgb4/cxgb4_tc_flower.c' },
    refusesFragmentKey: { source: 'cxgb4_validate_flow_match() of chelsio/cxgb4/cxgb4_tc_flower.c' },
  },
  i40e: { rateStep: { megabits: 50, source: 'i40e_set_bw_limit() of intel/i40e/i40e_main.c' } },
  ice: {
    redirectsOnly: { source: 'ice_eswitch_tc_parse_action() of intel/ice/ice_tc_lib.c' },
    dropsPriorities: { source: 'ice_eswitch_add_tc_fltr() of intel/ice/ice_tc_lib.c' },
    refusesFragmentKey: { source: 'ice_parse_cls_flower() of intel/ice/ice_tc_lib.c' },
    refusesAllWhile: {
      ...{ code: 'EINVAL', what: "the firmware's LLDP agent runs" },
      stoppedBy: (pf) => `ethtool --set-priv-flags ${pf} fw-lldp-agent off`,
      source: 'ice_add_cls_flower() of intel/ice/ice_tc_lib.c',
    },
  },
  mlx5_core: {
    // The driver asks for the same hardware alone, and the switch inside sends on by MAC address: to a VF, or to the wire.
    hairpin: {
      of: ['vf', 'nic'],
      source: 'tc_act_can_offload_mirred_nic() of mellanox/mlx5/core/en/tc/act/mirred_nic.c',
    },
    policesByPort: { source: 'apply_police_params() of mellanox/mlx5/core/en_tc.c' },
    policeBurstMax: {
      bytes: 2 ** 31 - 1,
      source: 'mlx5e_tc_meter_modify() of mellanox/mlx5/core/en/tc/meter.c',
    },
    policesIpLength: { source: 'mlx5e_tc_meter_modify() of mellanox/mlx5/core/en/tc/meter.c' },
    metersOf: {
      cards: 'ConnectX-6 Dx and newer have them',
      words: 'Failed to get flow meter',
      source: 'tc_act_can_offload_police() of mellanox/mlx5/core/en/tc/act/police.c',
    },
    managedElsewhere: {
      where: 'BlueField in DPU mode?',
      source: 'mlx5_eswitch_check() of mellanox/mlx5/core/eswitch.c',
    },
  },
  nfp: {
    dropsPriorities: { source: 'nfp_flower_add_offload() of netronome/nfp/flower/offload.c' },
    policeRateEnd: {
      bytesPerSecond: 2 ** 32,
      source: 'nfp_flower_offload_one_police() of netronome/nfp/flower/qos_conf.c',
    },
  },
  // The module sfc registers the driver of EF100 cards by a name of its own. Older cards have no eSwitch.
  sfc: ef100,
  sfc_ef100: ef100,
}

const nothing: DriverFacts = {}

/** The drivers whose sources were read. */
export const knownDrivers: readonly string[] = Object.keys(drivers)

/** True for a driver whose source was read: what its facts do not say, it does as the kernel shows it. */
export function isKnownDriver(driver: string | undefined): driver is string {
  return driver !== undefined && Object.hasOwn(drivers, driver)
}

/** The facts about a driver; none for a driver of which nothing is known, and where there is no driver. */
export function driverFacts(driver: string | undefined): DriverFacts {
  return isKnownDriver(driver) ? (drivers[driver] ?? nothing) : nothing
}
