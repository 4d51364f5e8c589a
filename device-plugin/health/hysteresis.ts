/** Hysteresis: a reason is told after it has lasted, and is dropped after its absence has lasted. */
import type { HealthConfig } from '../config/plugin-config.ts'
import { type DelayedReason, delayedReasons, type Told } from './observed.ts'

/** The memory of one reason against one device. There is none for a reason that is neither seen nor told. */
export interface Mark {
  readonly isTold: boolean
  /** Since when the observation differs from what is told, on the clock of the input; undefined: it does not. */
  readonly since: number | undefined
  /** Told since the device was first seen. The reason is dropped at once: the device has not been good before, and can not flap. */
  readonly isFresh: boolean
  /** The sentence of the last observation. */
  readonly text: string
}

/** The memory of one device's reasons. */
export type Marks = ReadonlyMap<DelayedReason, Mark>

/** One step of a device. */
export interface Step {
  readonly marks: Marks
  readonly told: readonly Told[]
  /** When the next step is due; Infinity: never. */
  readonly dueAt: number
}

function isOn(reason: DelayedReason, checks: HealthConfig): boolean {
  if (reason === 'carrier') return checks.carrier
  if (reason === 'link-state') return checks.linkState
  return reason === 'reset' || checks.representor
}

/**
 * Takes the marks of a device from one observation to the next. `former` undefined: the device is seen for the first time, and what is
 * seen is told at once. A reason whose check is off is forgotten. Times in milliseconds on one clock; a clock that goes back costs one delay at most.
 */
export function step(
  former: Marks | undefined,
  seen: ReadonlyMap<DelayedReason, string>,
  checks: HealthConfig,
  now: number,
): Step {
  const marks = new Map<DelayedReason, Mark>()
  const told: Told[] = []
  let dueAt = Number.POSITIVE_INFINITY
  for (const reason of delayedReasons) {
    if (!isOn(reason, checks)) continue
    const before = former?.get(reason)
    const text = seen.get(reason)
    const mark =
      text === undefined
        ? absent(before, checks.goodAfter, now)
        : present(before, text, former === undefined, checks.badAfter, now)
    if (mark === undefined) continue
    marks.set(reason, mark)
    if (mark.since !== undefined)
      dueAt = Math.min(dueAt, mark.since + (mark.isTold ? checks.goodAfter : checks.badAfter))
    if (!mark.isTold) continue
    const end = mark.since === undefined ? '' : ' (good again, but not for long enough yet)'
    told.push({ reason, text: mark.text + end })
  }
  return { marks, told, dueAt }
}

function present(
  before: Mark | undefined,
  text: string,
  isFirst: boolean,
  badAfter: number,
  now: number,
): Mark {
  if (before?.isTold === true || isFirst)
    return { isTold: true, since: undefined, isFresh: before?.isFresh ?? isFirst, text }
  const since = Math.min(before?.since ?? now, now)
  const isTold = now - since >= badAfter
  return { isTold, since: isTold ? undefined : since, isFresh: false, text }
}

function absent(before: Mark | undefined, goodAfter: number, now: number): Mark | undefined {
  if (before === undefined || !before.isTold || before.isFresh) return undefined
  const since = Math.min(before.since ?? now, now)
  return now - since >= goodAfter ? undefined : { ...before, since }
}
