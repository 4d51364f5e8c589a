/**
 * Drivers that carry limits out otherwise than they are asked to, which nothing in the kernel shows. Known from their
 * sources (Linux 6.12), not from hardware. Pure.
 */
import { ignoredBy } from './driver-quirks.ts'

interface RateQuirk {
  /** `max_tx_rate` is cut to a multiple of so many Mbit/s, and is one of them at the least. */
  readonly step?: number
  /**
   * A policer for all that a representor receives is carried out by the rate limiter of the VF, in whole Mbit/s: the one
   * that `tx_max` sets. Who writes last wins, and with the filter every limit goes, also one that was there before.
   */
  readonly policesByPort?: true
  readonly source: string
}

/** By the name of the PF's driver in sysfs. */
const rateQuirks: Readonly<Record<string, RateQuirk | undefined>> = {
  i40e: { step: 50, source: 'i40e_set_bw_limit() of drivers/net/ethernet/intel/i40e/i40e_main.c' },
  mlx5_core: {
    policesByPort: true,
    source: 'apply_police_params() of drivers/net/ethernet/mellanox/mlx5/core/en_tc.c',
  },
}

/** The driver's unit of `max_tx_rate`, in Mbit/s. */
export function rateStep(driver: string | undefined): number {
  return quirkOf(driver)?.step ?? 1
}

/** Why a driver's policers are none, in words; undefined where nothing is known against them. */
export function ignoredPolice(driver: string | undefined): string | undefined {
  return ignoredBy(driver, 'police')
}

/** Why a policer on the representor is the port's `tx_max` by another name, in words; undefined where it is one. */
export function policedByPort(driver: string | undefined): string | undefined {
  const quirk = quirkOf(driver)
  if (quirk?.policesByPort !== true) return undefined
  return `driver "${driver}" carries it out by the port's own limit, in whole Mbit/s (${quirk.source})`
}

function quirkOf(driver: string | undefined): RateQuirk | undefined {
  return driver === undefined ? undefined : rateQuirks[driver]
}
