/**
 * Counters and histograms, and their text for Prometheus (format 0.0.4). Kept as plain numbers: the supervisor waits in one system call
 * and has no turns in which the promises of a library would go on.
 */
import { type AgentMetric, agentMetrics, callBuckets, type LabelsOf } from './table.ts'

/** Counts for each bucket, and for all. */
interface Distribution {
  readonly buckets: number[]
  sum: number
  count: number
}

/** All that was counted since the start, by metric and labels. */
export class Series {
  readonly #counters = new Map<AgentMetric, Map<string, number>>()
  readonly #distributions = new Map<AgentMetric, Map<string, Distribution>>()

  /** Counts something that happened. Returns its count now. */
  count<N extends AgentMetric>(name: N, labels: LabelsOf<N>): number {
    const all = entry(this.#counters, name, () => new Map<string, number>())
    const key = inBraces(labels)
    const value = (all.get(key) ?? 0) + 1
    all.set(key, value)
    return value
  }

  /** Takes a time, in milliseconds, into a histogram of seconds. */
  time<N extends AgentMetric>(name: N, labels: LabelsOf<N>, milliseconds: number): void {
    const all = entry(this.#distributions, name, () => new Map<string, Distribution>())
    const one = entry(all, inBraces(labels), () => ({
      ...{ buckets: callBuckets.map(() => 0), sum: 0, count: 0 },
    }))
    const seconds = milliseconds / 1_000
    one.sum += seconds
    one.count++
    for (const [index, bound] of callBuckets.entries())
      if (seconds <= bound) one.buckets[index] = (one.buckets[index] ?? 0) + 1
  }

  /** The values of a counter by their labels, as `{name="value"}`. */
  counts(name: AgentMetric): ReadonlyMap<string, number> {
    return this.#counters.get(name) ?? new Map()
  }

  /** The text of all metrics. `looked` are gauges that were looked up now. */
  text(looked: readonly Sample[]): string {
    return (Object.keys(agentMetrics) as AgentMetric[])
      .map((name) => {
        const { help, kind } = agentMetrics[name]
        const lines = [
          ...looked.filter((one) => one.name === name).map(sampleText),
          ...[...this.counts(name)].map(([key, value]) => `${name}${key} ${value}\n`),
          ...[...(this.#distributions.get(name) ?? [])].flatMap(([key, one]) => distribution(name, key, one)),
        ]
        return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join('')}`
      })
      .join('')
  }
}

/** One value of a gauge. */
export interface Sample {
  readonly name: AgentMetric
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A value of a gauge, with the labels that it must have. */
export function sample<N extends AgentMetric>(name: N, labels: LabelsOf<N>, value: number): Sample {
  return { name, labels, value }
}

function sampleText({ name, labels, value }: Sample): string {
  return `${name}${inBraces(labels)} ${value}\n`
}

function distribution(name: string, key: string, { buckets, sum, count }: Distribution): string[] {
  const inner = key === '' ? '' : `${key.slice(1, -1)},`
  const upTo = (bound: string, value: number) => `${name}_bucket{${inner}le="${bound}"} ${value}\n`
  return [
    ...callBuckets.map((bound, index) => upTo(String(bound), buckets[index] ?? 0)),
    upTo('+Inf', count),
    `${name}_sum${key} ${sum}\n`,
    `${name}_count${key} ${count}\n`,
  ]
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

/** Labels as Prometheus writes them. */
function inBraces(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
