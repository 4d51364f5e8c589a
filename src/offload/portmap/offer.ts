/** Offers a plan's rules to the NIC, and says of each mapping whether it took them, in which form, and why not. */
import { CniError, code } from '../../cni/error.ts'
import { ApplyError, type Transaction } from '../../ops/apply.ts'
import { flowFilterLine } from '../../ops/command-line.ts'
import { OffloadRefused } from '../../ops/offload-refused.ts'
import type { FlowFilter, Offload, Op, Outcome } from '../../ops/op.ts'
import { PolicerRefused } from '../feature.ts'
import { policerRefusal } from '../port/driver-words.ts'
import { conditionRefusal, mayTakeFragments, refusalBeforehand } from './driver/known-refusals.ts'
import type { RuleGroup } from './filters.ts'
import { type Answer, FirstPriority, isBare } from './hairpin/first-priority.ts'
import { unprovenNote } from './hairpin/words.ts'
import type { OffloadPlan } from './plan.ts'
import type { Preflight } from './preflight.ts'

/** The outcome of a mapping in the NIC: of each rule, or why the NIC did not take it. Neither: the NIC was not asked. */
export interface Tried {
  /** As it is to be made: with the conditions that the NIC takes. */
  readonly group: RuleGroup
  readonly outcomes?: readonly Outcome[]
  readonly refusal?: string
}

/** In the order of the plan's groups. */
export interface Offered {
  readonly tried: readonly Tried[]
  readonly notes: readonly string[]
  /** The NIC took no mapping. */
  readonly untaken?: Untaken
}

/** The reason why a NIC took none of a plan's mappings. */
export interface Untaken {
  readonly refusal: string
  /** The driver has refused the rules for what they say: not for lack of room, and not because something is in their way. */
  readonly isForm: boolean
  /** Nobody has asked the driver: the refusal is known. */
  readonly isKnown?: true
}

/** The reason for people. */
export function reasonOf({ refusal, isKnown }: Untaken): string {
  return isKnown === true ? refusal : `the driver said "${refusal}"`
}

/** Code 101: the NIC did not take a plan. */
export class NotTaken extends CniError {
  readonly untaken: Untaken

  constructor(untaken: Untaken, message: string, options?: ConstructorParameters<typeof CniError>[2]) {
    super(code.offloadRefused, message, options)
    this.untaken = untaken
  }
}

/**
 * Offers all mappings to the NIC, but for those that its driver is known to refuse. One whose rules it refuses is offered again
 * without the condition on fragments, where the mapping can be without: not every driver knows that key, and one that is known not
 * to is asked without at once. Returns the refusal of rules that have a policer, where there is one.
 * @throws CniError 101 with the driver's words when it refuses rules that must be in the NIC
 */
export function offerAll(
  transaction: Transaction,
  plan: OffloadPlan,
  preflight: Preflight,
): Offered | PolicerRefused {
  const { groups } = plan
  if (preflight.hardware !== undefined) return takenBefore(plan, preflight, preflight.hardware)
  const known = new Map<RuleGroup, string>()
  for (const group of groups) {
    const reason = refusalBeforehand(plan, group)
    if (reason === undefined) continue
    if (isLimited(group)) return new PolicerRefused(reason)
    known.set(group, refusedBy(plan, group, { refusal: reason, isForm: true, isKnown: true }))
  }
  const asked = groups.filter((group) => !known.has(group))
  // The first mapping by itself: a NIC that must take all and takes none is not to refuse hundreds.
  const many = asked.findIndex(({ rules }) => rules.some(({ port }) => port !== undefined)) + 1
  const priority = plan.way === 'hairpin' ? new FirstPriority(asked) : undefined
  const ask = (some: readonly RuleGroup[]) => attemptAll(transaction, plan, some)
  const attempts: Attempt[] = []
  const outcomes: Tried[] = []
  for (const some of [asked.slice(0, many), asked.slice(many)]) {
    const now = priority === undefined ? ask(some) : priority.attempt(some, ask)
    attempts.push(...now)
    for (const attempt of now) {
      const outcome = outcomeOf(plan, attempt, preflight)
      if (outcome instanceof PolicerRefused) return outcome
      outcomes.push(outcome)
    }
  }
  const tried = groups.map((group): Tried => {
    const refusal = known.get(group)
    return refusal === undefined ? (outcomes.shift() ?? { group }) : { group, refusal }
  })
  const untaken = untakenOf(tried, attempts, preflight)
  const notes = [...notesOf(attempts, preflight), ...unprovenNotes(plan, tried)]
  return {
    ...{ tried, notes: [...notes, ...tried.flatMap(leftToStack)] },
    ...(untaken === undefined ? {} : { untaken }),
  }
}

/** A line where the NIC has taken filters that send frames back by their own port. */
function unprovenNotes({ way }: OffloadPlan, tried: readonly Tried[]): string[] {
  const taken = tried.find(({ outcomes = [] }) => way === 'hairpin' && outcomes.length > 0)
  return (taken?.group.rules ?? []).slice(0, 1).map(({ link }) => unprovenNote(link))
}

/** Another filter in the NIC takes the frames before our rules would: nothing is offered. */
function takenBefore(plan: OffloadPlan, { software }: Preflight, hardware: string): Offered | PolicerRefused {
  const taken = `frames are taken in the NIC before our rules see them ${hardware}`
  const untaken = { refusal: taken, isForm: false }
  const tried = plan.groups.map((group) => ({ group, refusal: refusedBy(plan, group, untaken, taken) }))
  // In software the policer, which is in the NIC only, would be refused (EINVAL).
  if (software === undefined && plan.groups.some(isLimited)) return new PolicerRefused(taken)
  return { tried, notes: [], untaken }
}

/** The NIC's answer to a mapping as it was offered at last. */
interface Attempt extends Answer {
  /** Why the offer was one without the condition on fragments: what is known of the driver, or its refusal of an offer before. */
  readonly without?: string | OffloadRefused
}

function attemptAll(transaction: Transaction, plan: OffloadPlan, groups: readonly RuleGroup[]): Attempt[] {
  const offer = (some: readonly RuleGroup[]): Attempt[] => {
    const lists = some.map(({ rules }) => rules.map((rule) => steer(rule, 'require')))
    const results = transaction.attemptEach(lists)
    return some.map((group, at) => {
      const result = results[at] ?? []
      // The rest of the mapping has the key that its rule in software needs.
      if (result instanceof ApplyError && result.stuck.length > 0) throw result
      return { group, result }
    })
  }
  const known = conditionRefusal(plan)
  const isWithout = (group: RuleGroup) => known !== undefined && mayTakeFragments(plan, group)
  const first = offer(groups.map((group) => (isWithout(group) ? withoutCondition(group) : group))).map(
    (attempt, at) => {
      const group = groups[at] ?? attempt.group
      return isWithout(group) && known !== undefined
        ? without({ ...attempt, without: known }, group)
        : attempt
    },
  )
  const isRefused = ({ group, result }: Attempt) =>
    !isWithout(group) &&
    result instanceof ApplyError &&
    result.cause instanceof OffloadRefused &&
    mayTakeFragments(plan, group) &&
    !(plan.way === 'hairpin' && isBare({ result }))
  const again = offer(first.filter(isRefused).map(({ group }) => withoutCondition(group)))
  return first.map((attempt) => {
    const second = isRefused(attempt) ? again.shift() : undefined
    const { result } = attempt
    if (second === undefined || !(result instanceof ApplyError)) return attempt
    if (!(result.cause instanceof OffloadRefused)) return attempt
    return without({ ...second, without: result.cause }, attempt.group)
  })
}

/** An offer without the condition. In software the rules have the condition. */
function without(attempt: Attempt, group: RuleGroup): Attempt {
  return attempt.result instanceof ApplyError ? { group, result: attempt.result } : attempt
}

function withoutCondition({ mapping, rules }: RuleGroup): RuleGroup {
  return { mapping, rules: rules.map(({ fragments: _, ...rule }) => rule) }
}

/** One line for all mappings that the NIC took only without the condition on fragments. */
function notesOf(attempts: readonly Attempt[], preflight: Preflight): string[] {
  const found = attempts.filter(({ without }) => without !== undefined)
  const why = found[0]?.without
  if (why === undefined) return []
  const names = found.map(({ group }) => group.mapping).join(', ')
  const words = typeof why === 'string' ? why : `"${preflight.explain(why.refusal)}"`
  return [
    `the NIC does not take "ip_flags nofrag" (${words}): what comes in fragments may be lost for ${names}`,
  ]
}

/**
 * The outcome of one mapping, with the reason where the NIC did not take its rules.
 * @throws the error if it is about something else
 * @throws CniError 101 where the rules must be in the NIC
 */
function outcomeOf(
  plan: OffloadPlan,
  { group, result, words }: Attempt,
  preflight: Preflight,
): Tried | PolicerRefused {
  if (!(result instanceof ApplyError)) return { group, outcomes: result }
  if (!(result.cause instanceof OffloadRefused)) throw result
  const told = preflight.explain(result.cause.refusal)
  const refusal = words === undefined ? told : `${told} (${words})`
  if (isLimited(group)) {
    const isExplained = told !== result.cause.refusal
    const said = policerRefusal(isExplained ? undefined : plan.driver, result.cause, refusal)
    return new PolicerRefused(said, { cause: result })
  }
  const details = result.op.do === 'steer.add' ? flowFilterLine(result.op.rule, 'skip_sw') : undefined
  const untaken = { refusal, isForm: isForm(result.cause, preflight) }
  return { group, refusal: refusedBy(plan, group, untaken, undefined, { details, cause: result }) }
}

/** Undefined where the NIC took a mapping. */
function untakenOf(
  tried: readonly Tried[],
  attempts: readonly Attempt[],
  preflight: Preflight,
): Untaken | undefined {
  const mapped = tried.filter(({ group }) => !isOfStack(group))
  const [first] = mapped
  if (first?.refusal === undefined || mapped.some(({ refusal }) => refusal === undefined)) return undefined
  const causes = attempts.map(({ result }) => (result instanceof ApplyError ? result.cause : undefined))
  const all = causes.every((cause) => cause instanceof OffloadRefused && isForm(cause, preflight))
  return { refusal: first.refusal, isForm: all, ...(attempts.length === 0 ? { isKnown: true } : {}) }
}

/**
 * Codes by which drivers refuse what a rule says; 524 is ENOTSUPP, which user space has no name for. A driver whose table is full, that
 * is busy or resets says others, and would say them to every rule.
 */
const aboutForm: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'EINVAL', 'errno 524'])

/** Where offloads are switched off, a driver refuses rules whatever they say. */
function isForm({ code: errno, refusal }: OffloadRefused, { explain }: Preflight): boolean {
  return aboutForm.has(errno) && explain(refusal) === refusal
}

/** The host's stack forwards the frames of the group without any rule. */
function isOfStack({ software }: RuleGroup): boolean {
  return software?.length === 0
}

function leftToStack({ group, refusal }: Tried): string[] {
  if (refusal === undefined || !isOfStack(group)) return []
  return [`${group.mapping} stays in the host's stack, the NIC did not take its rules ("${refusal}")`]
}

function isLimited({ rules }: RuleGroup): boolean {
  return rules.some(({ limiter }) => limiter !== undefined)
}

/** @throws CniError 101 where the rules must be in the NIC */
function refusedBy(
  plan: OffloadPlan,
  group: RuleGroup,
  untaken: Untaken,
  why = reasonOf(untaken),
  options?: ConstructorParameters<typeof CniError>[2],
): string {
  if (!plan.hardwareOnly || isOfStack(group)) return untaken.refusal
  const reasons = [why, ...(plan.hindrance === undefined ? [] : [plan.hindrance])].join('; ')
  throw new NotTaken(untaken, `Cannot map ${group.mapping} in the NIC: ${reasons}`, options)
}

/** The operation that adds a filter. */
export function steer(rule: FlowFilter, offload: Offload): Op {
  return { do: 'steer.add', rule, offload }
}
