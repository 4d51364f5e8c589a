/** Refusals of a driver that are known before it is asked, by its source: no filter is tried that would be refused or do something else. Pure. */
import { sentence } from '../../port/driver-words.ts'
import { driverFacts } from '../../port/drivers.ts'
import type { RuleGroup } from '../filters.ts'
import type { OffloadPlan } from '../plan.ts'

type PlanPart = Pick<OffloadPlan, 'driver' | 'nat'>

/** Why the NIC is not asked for the rules of a group; undefined: it is. */
export function refusalBeforehand(plan: PlanPart, group: RuleGroup): string | undefined {
  const { losesMacsBesideTag, refusesFragmentKey } = driverFacts(plan.driver)
  const { rules } = group
  const isTagged = rules.some(({ pop, push }) => pop === true || push !== undefined)
  if (isTagged && losesMacsBesideTag !== undefined) {
    const does =
      'accepts rewritten MAC addresses beside a VLAN tag that it adds or removes, and writes others'
    return sentence(plan.driver, losesMacsBesideTag, does)
  }
  return hasCondition(group) && !mayTakeFragments(plan, group)
    ? sentence(
        plan.driver,
        refusesFragmentKey,
        'refuses "ip_flags nofrag", without which it may take the first fragment of a datagram alone',
      )
    : undefined
}

/** The refusal of the condition on fragments by the plan's driver; undefined where the driver is to be asked. */
export function conditionRefusal({ driver }: PlanPart): string | undefined {
  const { refusesFragmentKey } = driverFacts(driver)
  return refusesFragmentKey && `driver "${driver}" refuses it, ${refusesFragmentKey.source}`
}

/**
 * True where the NIC may have a group's rules without the condition on fragments. TCP is hardly ever sent in fragments. Of UDP a NIC
 * that reads the ports of first fragments would lose every datagram in fragments, which only they put up with who have asked for
 * its translation.
 */
export function mayTakeFragments({ nat }: PlanPart, group: RuleGroup): boolean {
  return hasCondition(group) && (nat === 'nic' || group.rules.every(({ proto }) => proto !== 'udp'))
}

function hasCondition({ rules }: RuleGroup): boolean {
  return rules.some(({ fragments }) => fragments === 'none')
}
