/** Values that are looked up at a scrape. They live until the text is made: between scrapes nothing is kept. */
import type { LabelsOf, MetricName } from './table.ts'

/** One value of a metric. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** The values of one scrape. */
export class Samples {
  readonly #byName = new Map<MetricName, Sample[]>()

  /** Adds a value. Nothing is added for undefined, which says that nobody knows. */
  add<N extends MetricName>(
    name: N,
    labels: LabelsOf<N>,
    value: number | bigint | boolean | undefined,
  ): void {
    if (value === undefined) return
    const sample = { labels, value: Number(value) }
    const known = this.#byName.get(name)
    if (known === undefined) this.#byName.set(name, [sample])
    else known.push(sample)
  }

  /** The values of a metric so far. */
  of(name: MetricName): readonly Sample[] {
    return this.#byName.get(name) ?? []
  }
}
