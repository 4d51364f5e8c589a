/** Makes the limits of a plan, each by the first strategy that kernel and NIC take. */
import { CniError, code } from '../../cni/error.ts'
import { ApplyError, type Transaction } from '../../ops/apply.ts'
import { commandLine } from '../../ops/command-line.ts'
import { isLostAnswer } from '../../ops/lost-answer.ts'
import { OffloadRefused } from '../../ops/offload-refused.ts'
import type { Op, Outcome } from '../../ops/op.ts'
import { isExisting } from '../../ops/port-taken.ts'
import type { LimitRecord } from '../../records/offload.ts'
import { type Alternative, PolicerRefused } from '../feature.ts'
import { policerRefusal } from '../port/driver-words.ts'
import { phrase } from './check.ts'
import type { BandwidthPlan } from './plan.ts'
import type { BandwidthStrategy } from './strategy.ts'

/**
 * Makes all limits. Returns why the policer of the alternative can't be had, where that is so.
 * @throws CniError 101 with the driver's words when no strategy is left
 */
export function installLimits(
  transaction: Transaction,
  goals: readonly BandwidthPlan[],
  alternative: Alternative,
  isHeldByDead: () => boolean,
  driver?: string,
): LimitRecord[] | PolicerRefused {
  const limits: LimitRecord[] = []
  for (const goal of goals) {
    const limit = installLimit(transaction, goal, alternative, isHeldByDead, driver)
    if (limit instanceof PolicerRefused) return limit
    limits.push(limit)
  }
  return limits
}

/**
 * Makes one limit by the first strategy that is taken. A strategy in the NIC that is refused is the reason for the next one.
 * A policer that filters share is the only strategy of an alternative that has one: other features go by it.
 */
export function installLimit(
  transaction: Transaction,
  { direction, limit, ways, passedOver }: BandwidthPlan,
  { policer, refused }: Alternative,
  isHeldByDead: () => boolean,
  driver?: string,
): LimitRecord | PolicerRefused {
  const shared = ways.filter(({ limiter }) => limiter !== undefined)
  const isShared = policer !== undefined && shared.length > 0
  const refusals = [...passedOver]
  if (!isShared && shared.length > 0 && refused !== undefined) refusals.push(`police: ${refused.reason}`)
  let last: PolicerRefused['options'] = refused?.options ?? {}
  for (const way of isShared ? shared : ways.filter(({ limiter }) => limiter === undefined)) {
    try {
      const outcomes = transaction.attempt(way.ops)
      const ops = way.ops.map((op, index) => asMade(op, outcomes[index]))
      return {
        direction,
        rate: limit.rate,
        burst: limit.burst,
        where: way.where,
        means: way.means,
        ...(way.counts === undefined ? {} : { counts: way.counts }),
        lines: ops.map(commandLine),
        ops,
        ...(refusals.length === 0 ? {} : { refusals }),
        notes: [...notesOf(direction, way, refusals), ...way.notes, ...outcomes.flatMap(classifierNote)],
      }
    } catch (error) {
      if (!isRefusal(error, way, isHeldByDead)) throw error
      last = { details: commandLine(error.op), cause: error }
      const words = wordsOf(error, driver)
      if (isShared) return new PolicerRefused(words, last)
      refusals.push(`${way.means}: ${words}`)
    }
  }
  throw new CniError(
    code.offloadRefused,
    `Cannot limit what ${phrase[direction]} in the NIC: ${refusals.join('; ')}`,
    last,
  )
}

/** True where the NIC has refused a strategy, and another one may follow. */
function isRefusal(
  error: unknown,
  { where }: BandwidthStrategy,
  isHeldByDead: () => boolean,
): error is ApplyError {
  if (where !== 'nic' || !(error instanceof ApplyError)) return false
  // No record of another strategy would speak of the rest of this one: the ADD ends, with a look at the node.
  if (isLostAnswer(error.cause) || error.stuck.length > 0) return false
  // A thing of a dead attachment is no reason for another strategy: that thing goes, and this strategy is tried again.
  return !(isExisting(error.cause) && isHeldByDead())
}

/** The operation with the classifier of its filter, where the kernel has not made it of the first one. */
function asMade(op: Op, outcome: Outcome | undefined): Op {
  const classifier = outcome?.classifier
  if (op.do !== 'detour.add' || classifier === undefined) return op
  return { ...op, detour: { ...op.detour, classifier } }
}

function classifierNote({ classifier, reason }: Outcome): string[] {
  return classifier === undefined
    ? []
    : [`the filter that leads to the ifb is made by classifier ${classifier}; not by ${reason}`]
}

/** Every way that was given up is said, with its reason. */
function notesOf(
  direction: BandwidthPlan['direction'],
  { where, means }: BandwidthStrategy,
  refusals: readonly string[],
): string[] {
  return refusals.length === 0
    ? []
    : [`what ${phrase[direction]} is limited by ${means} (${where}); not by ${refusals.join('; not by ')}`]
}

function wordsOf({ op, cause }: ApplyError, driver: string | undefined): string {
  const isOfPolicer = op.do === 'limiter.add' || op.do === 'meter.add'
  if (cause instanceof OffloadRefused)
    return policerRefusal(isOfPolicer ? driver : undefined, cause, cause.refusal)
  return cause instanceof Error ? cause.message : String(cause)
}
