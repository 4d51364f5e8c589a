/**
 * Values that are looked up at a scrape, as lines of the text format of Prometheus (version 0.0.4). A large node has 20,000 of them:
 * kept as objects, as prom-client has them, they would take more memory than the rest of the process.
 */
import { type LabelsOf, type MetricName, metricTable } from './table.ts'

/** The values of one scrape. */
export class Samples {
  readonly #lines = new Map<MetricName, string[]>()

  /** Adds a value. Nothing is added for undefined, which says that nobody knows. */
  add<N extends MetricName>(
    name: N,
    labels: LabelsOf<N>,
    value: number | bigint | boolean | undefined,
  ): void {
    if (value === undefined) return
    const line = `${name}${inBraces(labels)} ${typeof value === 'boolean' ? Number(value) : value}\n`
    const known = this.#lines.get(name)
    if (known === undefined) this.#lines.set(name, [line])
    else known.push(line)
  }

  /** The text of a metric. Its values are forgotten. */
  take(name: MetricName): string {
    const { help, kind } = metricTable[name]
    const lines = this.#lines.get(name) ?? []
    this.#lines.delete(name)
    return `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${lines.join('')}`
  }
}

function inBraces(labels: Readonly<Record<string, string>>): string {
  let text = ''
  for (const name in labels) text += `${text === '' ? '' : ','}${name}="${escaped(labels[name] ?? '')}"`
  return text === '' ? '' : `{${text}}`
}

const special = /[\\\n"]/

function escaped(value: string): string {
  if (!special.test(value)) return value
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
