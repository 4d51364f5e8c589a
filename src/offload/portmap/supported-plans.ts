/** The plans of port mappings that a driver carries out as they are meant. Pure. */
import { CniError, code } from '../../cni/error.ts'
import { ignoredActionsOf } from '../port/driver-quirks.ts'
import type { OffloadPlan } from './plan.ts'

/**
 * The plans whose filters mean what the driver does, the first one with a note on those that were left out.
 * @throws CniError 101 when none is left
 */
export function supportedPlans(plans: readonly OffloadPlan[], driver: string | undefined): OffloadPlan[] {
  const quirk = ignoredActionsOf(driver)
  if (quirk === undefined) return [...plans]
  const needs = plans.map((plan) => quirk.ignores.filter((kind) => actionsOf(plan).has(kind)))
  const honest = plans.filter((_, at) => needs[at]?.length === 0)
  const kinds = [...new Set(needs.flat())]
  if (kinds.length === 0) return honest
  const reason = quirk.words(kinds)
  const [first, ...others] = honest
  if (first === undefined) throw new CniError(code.offloadRefused, `Cannot translate in the NIC: ${reason}`)
  return [{ ...first, notes: [...first.notes, `not with nat "nic": ${reason}`] }, ...others]
}

/** Kinds of actions without which the plan's filters would do something else. */
function actionsOf({ groups }: OffloadPlan): Set<string> {
  const rules = groups.flatMap((group) => group.rules)
  return new Set(rules.some(({ to }) => to !== undefined) ? ['csum'] : [])
}
