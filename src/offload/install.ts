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
 * `beforeRules` is called when all but the rules is done, and may throw what keeps them from being made.
 * @throws LimiterInTheWay when it refuses rules that have a policer
 * @throws CniError 101 with the driver's words when rules that must be in the NIC are refused and no plan is left
 */
export function applyBest(
  transaction: Transaction,
  config: OffloadConfig,
  facts: OffloadFacts,
  plans: readonly OffloadPlan[],
  ground: Ground,
  beforeRules: () => void = () => undefined,
): Installed {
  const notes: string[] = []
  // What other parts have done (rate limits) stays done.
  const mark = transaction.mark()
  for (const [at, plan] of plans.entries()) {
    try {
      return { plan, rules: applyPlan(transaction, config, facts, plan, ground, beforeRules), notes }
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

/** What became of a mapping in the NIC: of each rule, or why the NIC did not take it. Neither: it was not asked. */
interface Tried {
  readonly outcomes?: readonly Outcome[]
  readonly refusal?: string
}

/**
 * The rules of all mappings go to the NIC at once, then those of the refused ones to software: a pod may have hundreds, and
 * each request by itself waits for its answer.
 */
function applyPlan(
  transaction: Transaction,
  config: OffloadConfig,
  facts: OffloadFacts,
  plan: OffloadPlan,
  ground: Ground,
  beforeRules: () => void,
): OffloadJournal['rules'] {
  const { groups } = plan
  transaction.apply(plan.ops)
  beforeRules()
  const tried = config.offload === 'off' ? [] : tryHardware(transaction, facts, plan, ground)
  const mappings = groups.map((group, at) => ({ group, ...tried[at] }))
  const inSoftware = mappings.filter(({ outcomes }) => outcomes === undefined)
  const [first] = inSoftware
  if (first !== undefined) refuseTaken(ground, ground.hardware === undefined ? first.refusal : undefined)
  const rules = inSoftware.flatMap(({ group }) => group.rules)
  const rest = transaction.apply(rules.map((rule) => steer(rule, 'off')))
  return mappings.flatMap(({ group, outcomes, refusal }) =>
    group.rules.map((rule, at) =>
      ruleReport(group, rule, outcomes === undefined ? rest.shift() : outcomes[at], refusal),
    ),
  )
}

/** Offers all mappings to the NIC. @throws as refusalOf() */
function tryHardware(
  transaction: Transaction,
  facts: OffloadFacts,
  plan: OffloadPlan,
  ground: Ground,
): readonly Tried[] {
  const { groups } = plan
  if (ground.hardware !== undefined) {
    const taken = `frames are taken in the NIC before our rules see them ${ground.hardware}`
    return groups.map((group) => {
      const refusal = refusedBy(plan, group, taken, taken)
      // In software the policer, which is in the NIC only, would be refused (EINVAL).
      if (ground.software === undefined && isLimited(group)) throw new LimiterInTheWay(taken)
      return { refusal }
    })
  }
  const offer = (some: readonly RuleGroup[]): Tried[] => {
    const lists = some.map(({ rules }) => rules.map((rule) => steer(rule, 'require')))
    const results = transaction.attemptEach(lists)
    return some.map((group, at) => {
      const result = results[at]
      // What is left of it has the key that its rule in software needs.
      if (result instanceof ApplyError && result.stuck.length > 0) throw result
      return result instanceof ApplyError
        ? { refusal: refusalOf(plan, group, result, ground) }
        : { outcomes: result ?? [] }
    })
  }
  // The first one by itself: a NIC that takes none is not to refuse hundreds.
  const first = offer(groups.slice(0, 1))
  const refusal = first[0]?.refusal
  // Without representors every driver refuses every rule, and in the same words: once is enough.
  if (refusal !== undefined && facts.port.wire?.representor === undefined)
    return groups.map(() => ({ refusal }))
  return [...first, ...offer(groups.slice(1))]
}

/**
 * Why the NIC did not take a mapping's rules.
 * @throws the error if it is about something else
 * @throws LimiterInTheWay for rules that have a policer
 * @throws CniError 101 where the rules must be in the NIC
 */
function refusalOf(plan: OffloadPlan, group: RuleGroup, error: ApplyError, ground: Ground): string {
  if (!(error.cause instanceof OffloadRefused)) throw error
  const refusal = ground.explain(error.cause.refusal)
  if (isLimited(group)) throw new LimiterInTheWay(refusal, error)
  const details = error.op.do === 'steer.add' ? steerLine(error.op.rule, 'skip_sw') : undefined
  return refusedBy(plan, group, refusal, undefined, { details, cause: error })
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
