/** Carries a plan's rules out, each mapping whole in the NIC or whole in software, and says which and why. */
import { CniError, code } from '../../cni/error.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { ApplyError, type Transaction } from '../../ops/apply.ts'
import { flowFilterLine } from '../../ops/command-line.ts'
import type { FlowFilter, Outcome } from '../../ops/op.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { OffloadConfig } from '../config/config.ts'
import { PolicerRefused } from '../feature.ts'
import type { RuleGroup } from './filters.ts'
import { NotTaken, type Offered, offerAll, reasonOf, steer, type Tried, type Untaken } from './offer.ts'
import type { OffloadPlan } from './plan.ts'
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
  const refusals = new Set<string>()
  // Changes of other features (bandwidth) stay done.
  const mark = transaction.mark()
  for (const [at, plan] of plans.entries()) {
    const next = plans[at + 1]
    try {
      const earlier = refusals.size === 0 ? undefined : [...refusals].join('; ')
      const done = applyPlan(transaction, config, plan, preflight, beforeRules, { next, earlier })
      if (done instanceof PolicerRefused) return done
      return { plan, rules: done.rules, notes: [...notes, ...done.notes] }
    } catch (error) {
      if (!(error instanceof CniError) || error.code !== code.offloadRefused || next === undefined)
        throw error
      const untaken = error instanceof NotTaken ? error.untaken : undefined
      if (!mayFollow(next, plan, untaken)) throw error
      // A rule that stays would translate beside the next plan's.
      if (transaction.rollback(mark).length > 0) throw error
      notes.push(`${givenUp(plan, next)}: ${error.message}`)
      if (untaken !== undefined && plan.nat === next.nat) refusals.add(untaken.refusal)
    }
  }
  throw new RangeError('Cannot install port mappings without a plan')
}

/** True where the NIC may take the next plan although it did not take this one. */
function mayFollow(next: OffloadPlan, plan: OffloadPlan, untaken: Untaken | undefined): boolean {
  return plan.nat !== next.nat || plan.way === 'redirect' || untaken?.isForm === true
}

/** The plan that was given up, by what the next one has otherwise. */
function givenUp(plan: OffloadPlan, next: OffloadPlan): string {
  if (plan.nat !== next.nat) return `not with nat "${plan.nat}"`
  return plan.way === 'redirect' ? 'not by redirect alone' : 'not by rewriting MAC addresses'
}

/** The plans around one. */
interface Around {
  readonly next: OffloadPlan | undefined
  /** Why the NIC did not take those before, where their rules in software are the same. */
  readonly earlier: string | undefined
}

/**
 * The rules of all mappings go to the NIC at once, then those of the refused ones to software: a pod may have hundreds, and
 * each request by itself waits for its answer.
 * @throws NotTaken where the NIC took no mapping and the next plan may do better
 */
function applyPlan(
  transaction: Transaction,
  config: OffloadConfig,
  plan: OffloadPlan,
  preflight: Preflight,
  beforeRules: () => void,
  { next, earlier }: Around,
): Pick<Installed, 'rules' | 'notes'> | PolicerRefused {
  const { groups, inSoftware = [] } = plan
  prepare(transaction, plan)
  beforeRules()
  // Before all others: nothing that these keep back may leave meanwhile.
  const kept = transaction.apply(inSoftware.flatMap(({ rules }) => rules.map((rule) => steer(rule, 'off'))))
  const isAsked = config.offload !== 'off' && plan.unoffered !== true
  const offered: Offered | PolicerRefused = isAsked
    ? offerAll(transaction, plan, preflight)
    : { tried: [], notes: [] }
  if (offered instanceof PolicerRefused) return offered
  const { tried, notes, untaken } = offered
  if (next !== undefined && untaken !== undefined && mayFollow(next, plan, untaken))
    throw new NotTaken(untaken, reasonOf(untaken))
  const mappings = groups.map((group, at) => placed(tried[at] ?? { group, ...refusedBefore(earlier) }))
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

/**
 * Everything before the rules. The kernel of a pod may lack what the table of a redirect alone needs: then this plan is given up.
 * @throws NotTaken then
 */
function prepare(transaction: Transaction, { ops, way }: OffloadPlan): void {
  if (way !== 'redirect') {
    transaction.apply(ops)
    return
  }
  try {
    transaction.attempt(ops)
  } catch (error) {
    if (!(error instanceof ApplyError) || error.op.do !== 'nft.load' || error.op.family === undefined)
      throw error
    if (!isRefusal(error.cause)) throw error
    const words = `the pod does not take the frames in: ${error.message}`
    throw new NotTaken({ refusal: words, isForm: false }, words, { cause: error })
  }
}

/** The table is not there: a failure of which nobody knows what it left is no refusal. */
function isRefusal(cause: unknown): boolean {
  return isOfKind(cause, 'refusal') && !('isLate' in cause && cause.isLate === true)
}

function refusedBefore(refusal: string | undefined): Pick<Tried, 'refusal'> {
  return refusal === undefined ? {} : { refusal }
}

/** With the rules that the mapping has in software, where the NIC did not take it. */
function placed(tried: Tried): Tried {
  const { group, outcomes } = tried
  const { mapping, software } = group
  return outcomes !== undefined || software === undefined
    ? tried
    : { ...tried, group: { mapping, rules: software } }
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
