/** Carries a plan's rules out, each mapping whole in the NIC or whole in software, and says which and why. */
import { CniError, code } from '../cni/error.ts'
import { OffloadRefused } from '../lib/offload-refused.ts'
import { ApplyError, type Transaction } from '../ops/apply.ts'
import { steerLine } from '../ops/describe.ts'
import type { Offload, Op, Outcome, SteerSpec } from '../ops/op.ts'
import { type Ground, refuseTaken } from './coexist.ts'
import type { OffloadConfig } from './config.ts'
import type { OffloadFacts } from './facts.ts'
import { LimiterInTheWay } from './part.ts'
import type { OffloadPlan, RuleGroup } from './plan.ts'
import type { OffloadJournal } from './record.ts'

/** What became of an ADD's plans. */
export interface Installed {
  readonly plan: OffloadPlan
  readonly rules: OffloadJournal['rules']
  /** Why plans before this one were given up. */
  readonly notes: readonly string[]
}

/**
 * Carries out the first plan that the NIC takes. A plan that it refuses is taken back before the next one is tried.
 * @throws LimiterInTheWay when it refuses rules that have a policer
 * @throws CniError 101 with the driver's words when rules that must be in the NIC are refused and no plan is left
 */
export function applyBest(
  transaction: Transaction,
  config: OffloadConfig,
  facts: OffloadFacts,
  plans: readonly OffloadPlan[],
  ground: Ground,
): Installed {
  const notes: string[] = []
  // What other parts have done (rate limits) stays done.
  const mark = transaction.mark()
  for (const [at, plan] of plans.entries()) {
    try {
      return { plan, rules: applyPlan(transaction, config, facts, plan, ground), notes }
    } catch (error) {
      if (!(error instanceof CniError) || error.code !== code.offloadRefused || at === plans.length - 1)
        throw error
      transaction.rollback(mark)
      notes.push(`not with nat "${plan.nat}": ${error.message}`)
    }
  }
  throw new RangeError('Cannot install port mappings without a plan')
}

function applyPlan(
  transaction: Transaction,
  config: OffloadConfig,
  facts: OffloadFacts,
  plan: OffloadPlan,
  ground: Ground,
): OffloadJournal['rules'] {
  transaction.apply(plan.ops)
  const report: OffloadJournal['rules'] = []
  // Without representors every driver refuses every rule, and in the same words: once is enough.
  let known: string | undefined
  for (const group of plan.groups) {
    const refusal =
      config.offload === 'off' ? undefined : (known ?? tryHardware(transaction, plan, group, report, ground))
    if (config.offload !== 'off' && refusal === undefined) continue
    if (facts.port.wire?.representor === undefined) known = refusal
    refuseTaken(ground, ground.hardware === undefined ? refusal : undefined)
    const outcomes = transaction.apply(group.rules.map((rule) => steer(rule, 'off')))
    report.push(...group.rules.map((rule, at) => ruleReport(group, rule, outcomes[at], refusal)))
  }
  return report
}

/** Why the NIC did not take a mapping's rules; undefined when it did, and they stand in the report. */
function tryHardware(
  transaction: Transaction,
  plan: OffloadPlan,
  group: RuleGroup,
  report: OffloadJournal['rules'],
  ground: Ground,
): string | undefined {
  if (ground.hardware !== undefined) {
    const taken = `frames are taken in the NIC before our rules see them ${ground.hardware}`
    const refused = refusedBy(plan, group, taken, taken)
    // In software the policer, which is in the NIC only, would be refused (EINVAL).
    if (ground.software === undefined && isLimited(group)) throw new LimiterInTheWay(taken)
    return refused
  }
  try {
    const outcomes = transaction.attempt(group.rules.map((rule) => steer(rule, 'require')))
    report.push(...group.rules.map((rule, at) => ruleReport(group, rule, outcomes[at], undefined)))
    return undefined
  } catch (error) {
    if (!(error instanceof ApplyError) || !(error.cause instanceof OffloadRefused)) throw error
    const refusal = ground.explain(error.cause.refusal)
    if (isLimited(group)) throw new LimiterInTheWay(refusal, error)
    const details = error.op.do === 'steer.add' ? steerLine(error.op.rule, 'skip_sw') : undefined
    return refusedBy(plan, group, refusal, undefined, { details, cause: error })
  }
}

function isLimited({ rules }: RuleGroup): boolean {
  return rules.some(({ limiter }) => limiter !== undefined)
}

/** @throws CniError 101 where the rules must be in the NIC */
function refusedBy(
  plan: OffloadPlan,
  group: RuleGroup,
  refusal: string,
  why = `the driver said "${refusal}"`,
  options?: ConstructorParameters<typeof CniError>[2],
): string {
  if (!plan.hardwareOnly) return refusal
  throw new CniError(code.offloadRefused, `Cannot map ${group.mapping} in the NIC: ${why}`, options)
}

function steer(rule: SteerSpec, offload: Offload): Op {
  return { do: 'steer.add', rule, offload }
}

/** Where a rule ended up, for the record. */
function ruleReport(
  { mapping }: RuleGroup,
  rule: SteerSpec,
  outcome: Outcome | undefined,
  refusal: string | undefined,
): OffloadJournal['rules'][number] {
  const where = outcome?.where ?? 'host'
  return {
    line: steerLine(rule, where === 'nic' ? 'skip_sw' : 'skip_hw'),
    where,
    ...(refusal === undefined ? {} : { refusal }),
    mapping,
    rule,
    prio: rule.prio,
    ...(outcome?.handle === undefined ? {} : { handle: outcome.handle }),
  }
}
