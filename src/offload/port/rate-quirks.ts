/** Drivers that carry limits out otherwise than they are asked to, in words. Pure. */
import { ignoredBy } from './driver-quirks.ts'
import { driverFacts } from './drivers.ts'

/** The driver's unit of `max_tx_rate`, in Mbit/s. */
export function rateStep(driver: string | undefined): number {
  return driverFacts(driver).rateStep?.megabits ?? 1
}

/** Why a driver's policers are none, in words; undefined where nothing is known against them. */
export function ignoredPolice(driver: string | undefined): string | undefined {
  const { redirectsOnly } = driverFacts(driver)
  return redirectsOnly === undefined
    ? ignoredBy(driver, 'police')
    : `driver "${driver}" refuses every policer (${redirectsOnly.source})`
}

/** Why a policer on the representor is the port's `tx_max` by another name, in words; undefined where it is one. */
export function policedByPort(driver: string | undefined): string | undefined {
  const { policesByPort } = driverFacts(driver)
  if (policesByPort === undefined) return undefined
  return `driver "${driver}" carries it out by the port's own limit, in whole Mbit/s (${policesByPort.source})`
}
