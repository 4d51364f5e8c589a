/**
 * Drivers that take a filter with an action that they then ignore, and say `in_hw` all the same: what the kernel stores
 * proves nothing there. Known from their sources; for others only counters after traffic tell.
 */
import { CniError, code } from '../../cni/error.ts'
import { readPciFunction } from '../../nic/pci.ts'
import type { OffloadPlan } from '../portmap/plan.ts'
import type { Port } from './port.ts'

/** Kinds of actions (TCA_ACT_KIND) that a driver accepts and ignores, and where that can be read. */
interface IgnoredActions {
  readonly ignores: readonly string[]
  readonly source: string
}

/** By the name of the PF's driver in sysfs. */
const ignoredActions: Readonly<Record<string, IgnoredActions | undefined>> = {
  bnxt_en: {
    ignores: ['csum', 'police', 'ct'],
    source: 'bnxt_tc_parse_actions() of drivers/net/ethernet/broadcom/bnxt/bnxt_tc.c, Linux 6.12',
  },
}

/** The driver that is asked to take a port's rules; undefined where no NIC is. */
export function driverOf({ vf }: Port): string | undefined {
  return vf === undefined ? undefined : readPciFunction(vf.pf)?.driver
}

/** That a driver accepts an action of this kind and ignores it, in words; undefined when nothing such is known of it. */
export function ignoredBy(driver: string | undefined, kind: string): string | undefined {
  const ignored = driver === undefined ? undefined : ignoredActions[driver]
  return ignored?.ignores.includes(kind) === true ? words(driver, kind, ignored) : undefined
}

function words(driver: string | undefined, kinds: string, { source }: IgnoredActions): string {
  return `driver "${driver}" accepts and ignores action ${kinds} (${source})`
}

/**
 * The plans whose rules mean what the driver does, the first one with a note on those that were left out.
 * @throws CniError 101 when none is left
 */
export function supportedPlans(plans: readonly OffloadPlan[], driver: string | undefined): OffloadPlan[] {
  const ignored = driver === undefined ? undefined : ignoredActions[driver]
  if (ignored === undefined) return [...plans]
  const needs = plans.map((plan) => ignored.ignores.filter((kind) => actionsOf(plan).has(kind)))
  const honest = plans.filter((_, at) => needs[at]?.length === 0)
  const kinds = [...new Set(needs.flat())].join(', ')
  if (kinds === '') return honest
  const reason = words(driver, kinds, ignored)
  const [first, ...others] = honest
  if (first === undefined) throw new CniError(code.offloadRefused, `Cannot translate in the NIC: ${reason}`)
  return [{ ...first, notes: [...first.notes, `not with nat "nic": ${reason}`] }, ...others]
}

/** Kinds of actions without which the plan's rules would do something else. */
function actionsOf({ groups }: OffloadPlan): Set<string> {
  const rules = groups.flatMap((group) => group.rules)
  return new Set(rules.some(({ to }) => to !== undefined) ? ['csum'] : [])
}
