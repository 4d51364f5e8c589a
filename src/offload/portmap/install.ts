/** Carries a plan's rules out, each mapping whole in the NIC or whole in software, and says which and why. */
import { CniError, code } from '../../cni/error.ts'
import type { Transaction } from '../../ops/apply.ts'
import { flowFilterLine } from '../../ops/command-line.ts'
import type { FlowFilter, Outcome } from '../../ops/op.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { OffloadConfig } from '../config/config.ts'
import { PolicerRefused } from '../feature.ts'
import { offerAll, steer, type Tried } from './offer.ts'
import type { OffloadPlan, RuleGroup } from './plan.ts'
import { type Preflight, refuseTaken } from './preflight.ts'

/** The plan that an ADD has carried out. */
export interface Installed {
  readonly plan: OffloadPlan
  readonly rules: OffloadJournal['rules']
  /** Why plans before this one were given up. */
  readonly notes: readonly string[]
}

/**
 * Carries out the first plan that the NIC takes. A plan that it refuses is taken back before the next one is tried.
 * `beforeRules` is called when everything but the rules is done, and may throw to keep them from being made. Returns the refusal of
 * rules that have a policer, where there is one: no other plan would do with that policer.
 * @throws CniError 101 with the driver's words when rules that must be in the NIC are refused and no plan is left
 */
export function applyBest(
  transaction: Transaction,
  config: OffloadConfig,
  plans: readonly OffloadPlan[],
  preflight: Preflight,
  beforeRules: () => void = () => undefined,
): Installed | PolicerRefused {
  const notes: string[] = []
  // Changes of other features (bandwidth) stay done.
  const mark = transaction.mark()
  for (const [at, plan] of plans.entries()) {
    try {
      const done = applyPlan(transaction, config, plan, preflight, beforeRules)
      if (done instanceof PolicerRefused) return done
      return { plan, rules: done.rules, notes: [...notes, ...done.notes] }
    } catch (error) {
      if (!(error instanceof CniError) || error.code !== code.offloadRefused || at === plans.length - 1)
        throw error
      // A rule that stays would translate beside the next plan's.
      if (transaction.rollback(mark).length > 0) throw error
      notes.push(`not with nat "${plan.nat}": ${error.message}`)
    }
  }
  throw new RangeError('Cannot install port mappings without a plan')
}

/**
 * The rules of all mappings go to the NIC at once, then those of the refused ones to software: a pod may have hundreds, and
 * each request by itself waits for its answer.
 */
function applyPlan(
  transaction: Transaction,
  config: OffloadConfig,
  plan: OffloadPlan,
  preflight: Preflight,
  beforeRules: () => void,
): Pick<Installed, 'rules' | 'notes'> | PolicerRefused {
  const { groups, inSoftware = [] } = plan
  transaction.apply(plan.ops)
  beforeRules()
  // Before all others: nothing that these keep back may leave meanwhile.
  const kept = transaction.apply(inSoftware.flatMap(({ rules }) => rules.map((rule) => steer(rule, 'off'))))
  const isAsked = config.offload !== 'off' && plan.unoffered !== true
  const offered = isAsked ? offerAll(transaction, plan, preflight) : { tried: [], notes: [] }
  if (offered instanceof PolicerRefused) return offered
  const { tried, notes } = offered
  const mappings = groups.map((group, at): Tried => tried[at] ?? { group })
  const left = mappings.filter(({ outcomes }) => outcomes === undefined)
  const [first] = left
  if (first !== undefined)
    refuseTaken(preflight, preflight.hardware === undefined ? first.refusal : undefined)
  const rules = left.flatMap(({ group }) => group.rules)
  const rest = [...kept, ...transaction.apply(rules.map((rule) => steer(rule, 'off')))]
  return {
    rules: [...inSoftware.map((group): Tried => ({ group })), ...mappings].flatMap(
      ({ group, outcomes, refusal }) =>
        group.rules.map((rule, at) =>
          ruleReport(group, rule, outcomes === undefined ? rest.shift() : outcomes[at], refusal),
        ),
    ),
    notes,
  }
}

/** The place where a rule is now, for the record. */
function ruleReport(
  { mapping }: RuleGroup,
  rule: FlowFilter,
  outcome: Outcome | undefined,
  refusal: string | undefined,
): OffloadJournal['rules'][number] {
  const where = outcome?.where ?? 'host'
  return {
    line: flowFilterLine(rule, where === 'nic' ? 'skip_sw' : 'skip_hw'),
    where,
    ...(refusal === undefined ? {} : { refusal }),
    mapping,
    rule,
    prio: rule.prio,
    ...(outcome?.handle === undefined ? {} : { handle: outcome.handle }),
  }
}
