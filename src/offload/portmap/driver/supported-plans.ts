/** The plans of port mappings that a driver carries out as they are meant. Pure. */
import { CniError, code } from '../../../cni/error.ts'
import type { FlowFilter } from '../../../ops/op.ts'
import { orderHindrance, rewriteHindrances } from '../../port/driver-words.ts'
import { driverFacts } from '../../port/drivers.ts'
import type { OffloadPlan } from '../plan.ts'
import { firstOverlap } from './overlap.ts'

/**
 * The plans whose filters mean what the driver does, the first one with a note on those that were left out. Each knows its driver.
 * @throws CniError 101 when none is left
 */
export function supportedPlans(plans: readonly OffloadPlan[], driver: string | undefined): OffloadPlan[] {
  if (driver === undefined) return [...plans]
  const judged = plans.map((plan) => ({ plan: { ...plan, driver }, reasons: reasonsAgainst(plan, driver) }))
  const left = judged.flatMap(({ plan, reasons }) => (reasons.length === 0 ? [plan] : []))
  const out = judged.filter(({ reasons }) => reasons.length > 0)
  const [first, ...others] = left
  if (first === undefined) {
    const reasons = new Set(out.flatMap((one) => one.reasons))
    throw new CniError(code.offloadRefused, `Cannot translate in the NIC: ${[...reasons].join('; ')}`)
  }
  const notes = out.map(({ plan, reasons }) => `not with nat "${plan.nat}": ${reasons.join('; ')}`)
  return [{ ...first, notes: [...first.notes, ...notes] }, ...others]
}

/** Why the driver would do something else than the filters say that the plan asks the NIC for. */
function reasonsAgainst({ groups, unoffered }: OffloadPlan, driver: string): string[] {
  if (unoffered === true) return []
  const rules = groups.flatMap((group) => group.rules)
  const overlap = driverFacts(driver).dropsPriorities && firstOverlap(rules)
  return [
    ...(rules.some(({ to }) => to !== undefined) ? rewriteHindrances(driver) : []),
    overlap && orderHindrance(driver, overlapWords(overlap)),
  ].filter((reason) => reason !== undefined)
}

function overlapWords(pair: readonly [FlowFilter, FlowFilter]): string {
  return `frames ${pair.map(matchOf).join(' are also frames ')}, and which filter takes them is open`
}

function matchOf({ proto, side, address, port, peer, mac }: FlowFilter): string {
  const own = `${address}${port === undefined ? '' : ` port ${port}`}`
  const [from, to] = side === 'src' ? [own, peer ?? mac] : [peer, own]
  return [
    ...(proto === undefined ? [] : [`of ${proto}`]),
    ...(from === undefined ? [] : [`from ${from}`]),
    ...(to === undefined ? [] : [`to ${to}`]),
  ].join(' ')
}
