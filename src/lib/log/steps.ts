/** The steps of a verb and the time that each took, for the verb's line in the log. */
import { perCall } from '../call/call.ts'

/** A step, in the order of beginnings. A step inside another one counts in both. */
export interface Step {
  readonly step: string
  /** Milliseconds. */
  readonly ms: number
  /** Set if it threw. */
  readonly failed?: true
}

interface Steps {
  recorded: Step[] | undefined
  facts: Readonly<Record<string, unknown>>
}

const its = perCall<Steps>(() => ({ recorded: undefined, facts: {} }))

/** Starts over. If `record` is false, `step` runs its actions without recording them. */
export function startSteps(record: boolean): void {
  Object.assign(its(), { recorded: record ? [] : undefined, facts: {} })
}

/** The steps so far. */
export function recordedSteps(): readonly Step[] {
  return its().recorded ?? []
}

/** Fields for the verb's line, e.g. `{ device: '0000:3b:02.1' }`. */
export function addVerbFields(fields: Readonly<Record<string, unknown>>): void {
  const own = its()
  if (own.recorded !== undefined) own.facts = { ...own.facts, ...fields }
}

/** The fields of {@link addVerbFields}. */
export function verbFields(): Readonly<Record<string, unknown>> {
  return its().facts
}

/** Runs `action` as a step called `name`, a word or two with a dot. Throws the errors of `action`. */
export function step<T>(name: string, action: () => T): T {
  if (its().recorded === undefined) return action()
  const end = beginStep(name)
  try {
    const result = action()
    end()
    return result
  } catch (error) {
    end(true)
    throw error
  }
}

/** Begins a step that is no function call. The returned function ends the step, and does nothing when called again. */
export function beginStep(name: string): (failed?: boolean) => void {
  const { recorded: steps } = its()
  if (steps === undefined) return () => undefined
  const index = steps.push({ step: name, ms: 0 }) - 1
  const started = performance.now()
  let ended = false
  return (failed = false) => {
    if (ended) return
    ended = true
    steps[index] = { step: name, ms: since(started), ...(failed ? { failed } : {}) }
  }
}

/** Milliseconds since `started`, a value of performance.now(), with three places. */
export function since(started: number): number {
  return Math.round((performance.now() - started) * 1000) / 1000
}
