/** All that is counted, and the line in the journal for what comes for the first time. */
import type { EndedCall } from '../control.ts'
import { LastTimes } from '../metrics/percentiles.ts'
import { Series } from '../metrics/series.ts'
import type { VerbStatus } from '../status.ts'
import type { Fallback } from './events.ts'
import { tell, tellOnce } from './log.ts'

/** Counts of one verb. */
interface VerbCounts {
  readonly outcomes: Record<string, number>
  failed: number
  readonly times: LastTimes
}

/** Labels of calls of which the worker has read nothing. */
const unknown = 'unknown'

/** See the head of this file. */
export class Tally {
  readonly series = new Series()
  readonly #verbs = new Map<string, VerbCounts>()
  readonly #refusals = new Map<string, number>()
  readonly #fallbacks = new Map<string, number>()
  readonly #ends = new Map<string, number>()

  /** A call is over. */
  ended({ name = unknown, verb = unknown, outcome, reason, exitCode = 0, milliseconds }: EndedCall): void {
    const labels = { plugin: name, verb }
    const counts = this.#countsOf(verb)
    counts.outcomes[outcome] = (counts.outcomes[outcome] ?? 0) + 1
    this.series.count('vf_flower_agent_calls_total', { ...labels, outcome })
    if (outcome === 'answered') {
      counts.times.add(milliseconds)
      this.series.time('vf_flower_agent_call_duration_seconds', { verb }, milliseconds)
      if (exitCode !== 0) {
        counts.failed++
        this.series.count('vf_flower_agent_call_failures_total', labels)
      }
    }
    if (outcome !== 'refused') return
    const words = reason ?? unknown
    raise(this.#refusals, words)
    this.series.count('vf_flower_agent_refusals_total', { reason: words })
    tellOnce(`a call was not served: ${words} (further ones are counted, and not told)`)
  }

  /** A call has left the queue for a worker. */
  waited(milliseconds: number): void {
    this.series.time('vf_flower_agent_queue_duration_seconds', {}, milliseconds)
  }

  /** A shim was sent away. */
  fellBack(reason: Fallback): void {
    raise(this.#fallbacks, reason)
    this.series.count('vf_flower_agent_fallbacks_total', { reason })
    tellOnce(`a call was not served: ${reason} (further ones are counted, and not told)`)
  }

  /** A worker has ended. `words` go to the journal if there are any. */
  workerEnded(reason: string, words?: string): void {
    raise(this.#ends, reason)
    this.series.count('vf_flower_agent_worker_ends_total', { reason })
    if (words !== undefined) tell(words)
  }

  /** The counts, by verb and by reason. */
  summary(): {
    readonly verbs: readonly VerbStatus[]
    readonly refusals: Readonly<Record<string, number>>
    readonly fallbacks: Readonly<Record<string, number>>
    readonly ends: Readonly<Record<string, number>>
  } {
    return {
      verbs: [...this.#verbs].map(([verb, { outcomes, failed, times }]) => {
        const [p50, p95, p99] = times.percentiles([0.5, 0.95, 0.99]) ?? []
        const shares = p50 === undefined || p95 === undefined || p99 === undefined ? {} : { p50, p95, p99 }
        return { verb, outcomes, failed, ...shares }
      }),
      refusals: Object.fromEntries(this.#refusals),
      fallbacks: Object.fromEntries(this.#fallbacks),
      ends: Object.fromEntries(this.#ends),
    }
  }

  #countsOf(verb: string): VerbCounts {
    const known = this.#verbs.get(verb)
    if (known !== undefined) return known
    const made = { outcomes: {}, failed: 0, times: new LastTimes() }
    this.#verbs.set(verb, made)
    return made
  }
}

function raise(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
