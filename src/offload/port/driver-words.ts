/** The facts about drivers in words: why a driver is not asked for something, and what a refusal of it means. Pure. */
import type { OffloadRefused } from '../../ops/offload-refused.ts'
import { driverFacts, type Sourced } from './drivers.ts'

/** The driver's unit of `max_tx_rate`, in Mbit/s. */
export function rateStep(driver: string | undefined): number {
  return driverFacts(driver).rateStep?.megabits ?? 1
}

/** That the driver accepts actions of these kinds and does not do them; undefined where it is known of none of them. */
export function ignoredActions(driver: string | undefined, kinds: readonly string[]): string | undefined {
  const { ignores } = driverFacts(driver)
  const found = ignores?.kinds.filter((kind) => kinds.includes(kind)) ?? []
  return ignores === undefined || found.length === 0
    ? undefined
    : `driver "${driver}" accepts and ignores action ${found.join(', ')} (${ignores.source})`
}

/** That the driver does something else, with the function that shows it; undefined where that is not known of it. */
export function sentence(
  driver: string | undefined,
  fact: Sourced | undefined,
  does: string,
): string | undefined {
  return fact && `driver "${driver}" ${does} (${fact.source})`
}

/** Why rewritten addresses and ports would not be what filters say; empty where nothing is known against them. */
export function rewriteHindrances(driver: string | undefined): string[] {
  const { losesPortRewrite } = driverFacts(driver)
  const lost = sentence(driver, losesPortRewrite, 'accepts a rewritten port and writes another one')
  return [ignoredActions(driver, ['csum']), lost].filter((reason) => reason !== undefined)
}

/** Why the order of filters is open, `found`: what follows from that; undefined where priorities are kept. */
export function orderHindrance(driver: string | undefined, found: string): string | undefined {
  const { dropsPriorities } = driverFacts(driver)
  return sentence(driver, dropsPriorities, `drops the priorities of filters: ${found}`)
}

/** Why no policer of so many bytes/s would be what it says; undefined where nothing is known against one. */
export function policeHindrance(driver: string | undefined, bytesPerSecond: number): string | undefined {
  const { policeRateEnd, redirectsOnly } = driverFacts(driver)
  const isBeyond = policeRateEnd !== undefined && bytesPerSecond >= policeRateEnd.bytesPerSecond
  const does = `keeps the rate of a policer in 32 bits: ${bytesPerSecond} bytes/s are more than ${u32}`
  return (
    sentence(driver, redirectsOnly, 'refuses every policer') ??
    ignoredActions(driver, ['police']) ??
    (isBeyond ? sentence(driver, policeRateEnd, does) : undefined)
  )
}

const u32 = 2 ** 32 - 1

/** Why a policer on the representor is the port's `tx_max` by another name; undefined where it is one. */
export function policedByPort(driver: string | undefined): string | undefined {
  const { policesByPort } = driverFacts(driver)
  return sentence(driver, policesByPort, "carries it out by the port's own limit, in whole Mbit/s")
}

/**
 * What may be the reason of a refusal that has an errno and no text, and the command against it; undefined where nothing is known.
 * @param refusal the driver's words, with the errno
 * @param pf name of the interface whose card refuses
 */
export function bareRefusalHint(driver: string | undefined, refusal: string, pf: string): string | undefined {
  const { refusesAllWhile } = driverFacts(driver)
  if (refusesAllWhile === undefined || refusal !== refusesAllWhile.code) return undefined
  const { what, stoppedBy } = refusesAllWhile
  const known = sentence(driver, refusesAllWhile, `refuses every filter without a text while ${what}`)
  return `${known}: if it does, "${stoppedBy(pf)}" ends that`
}

/**
 * A driver's refusal of a policer, or of a filter with one. `words`: the refusal as it is to be shown. A driver without meters
 * refuses a filter without a text. Of a policer by itself the kernel hides the driver's number (tcf_action_offload_add_ex(),
 * net/sched/act_api.c: EINVAL), and only the driver's text tells.
 */
export function policerRefusal(
  driver: string | undefined,
  { code, extack }: Pick<OffloadRefused, 'code' | 'extack'>,
  words: string,
): string {
  const { metersOf } = driverFacts(driver)
  const said = `the driver said "${words}"`
  if (metersOf === undefined) return said
  const isMissing = extack === undefined ? code === 'EOPNOTSUPP' : extack.endsWith(metersOf.words)
  return isMissing ? `no flow meters (${metersOf.cards}): ${said}` : said
}
