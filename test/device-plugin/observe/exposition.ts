/**
 * A strict reader of the text format of Prometheus (version 0.0.4), written from its grammar. It refuses what Prometheus would refuse
 * or misread: lines of one metric that do not stand together, a type after its samples, a sample twice, a broken histogram.
 */

/** One sample as it was read. */
export interface Read {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A metric with its samples. */
export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: Read[]
}

/** A text that is not in the format; names the line. */
export class BadExposition extends Error {
  override readonly name = 'BadExposition'
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/
const suffixes = ['_bucket', '_sum', '_count']

/** Reads a whole text. @throws BadExposition */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new BadExposition('the last line does not end')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let current: Family | undefined
  const lines = text.slice(0, -1).split('\n')
  for (const [at, line] of lines.entries()) {
    const fail = (why: string) => new BadExposition(`line ${at + 1}: ${why}: ${line}`)
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line)
    if (comment !== null) {
      const [, keyword, name = '', rest = ''] = comment
      if (keyword === 'HELP') {
        if (families.has(name)) throw fail('a second HELP')
        current = { name, type: '', help: unescaped(rest, fail, ['\\', 'n']), samples: [] }
        families.set(name, current)
      } else {
        if (current?.name !== name || current.type !== '' || current.samples.length > 0)
          throw fail('TYPE out of place')
        if (!['counter', 'gauge', 'histogram'].includes(rest)) throw fail('unknown type')
        current = { ...current, type: rest }
        families.set(name, current)
      }
      continue
    }
    if (line.startsWith('#')) throw fail('neither HELP nor TYPE')
    const sample = readSample(line, fail)
    if (current === undefined || current.type === '') throw fail('a sample without TYPE')
    const own = suffixes.map((suffix) => `${current?.name}${suffix}`)
    const isOwn = current.type === 'histogram' ? own.includes(sample.name) : sample.name === current.name
    if (!isOwn) throw fail('a sample of another metric')
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (seen.has(key)) throw fail('a sample twice')
    seen.add(key)
    if (current.type !== 'gauge' && !(sample.value >= 0)) throw fail('a counter below zero')
    current.samples.push(sample)
  }
  for (const family of families.values()) if (family.type === 'histogram') requireHistogram(family)
  return families
}

type Fail = (why: string) => BadExposition

function readSample(line: string, fail: Fail): Read {
  const name = metricName.exec(line)?.[0]
  if (name === undefined) throw fail('no name')
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    while (!rest.startsWith('}')) {
      const label = labelName.exec(rest)?.[0]
      if (label === undefined || label in labels) throw fail('a label without name, or twice')
      const quoted = /^="((?:[^"\\]|\\.)*)"/.exec(rest.slice(label.length))
      if (quoted === null) throw fail(`no value of ${label}`)
      labels[label] = unescaped(quoted[1] ?? '', fail, ['\\', 'n', '"'])
      rest = rest.slice(label.length + quoted[0].length)
      if (rest.startsWith(',')) rest = rest.slice(1)
      else if (!rest.startsWith('}')) throw fail('no comma between labels')
    }
    rest = rest.slice(1)
  }
  const value = /^ ([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/.exec(rest)?.[1]
  if (value === undefined) throw fail('no value')
  return { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
}

function unescaped(text: string, fail: Fail, allowed: readonly string[]): string {
  return text.replaceAll(/\\(.?)/gs, (_, letter: string) => {
    if (!allowed.includes(letter)) throw fail(`unknown escape \\${letter}`)
    return letter === 'n' ? '\n' : letter
  })
}

function requireHistogram({ name, samples }: Family): void {
  const series = new Map<string, { buckets: [number, number][]; sum?: number; count?: number }>()
  for (const { name: own, labels, value } of samples) {
    const { le, ...others } = labels
    const key = JSON.stringify(Object.entries(others).sort())
    const one = series.get(key) ?? { buckets: [] }
    series.set(key, one)
    if (own.endsWith('_bucket')) one.buckets.push([Number(le?.replace('Inf', 'Infinity')), value])
    else if (own.endsWith('_sum')) one.sum = value
    else one.count = value
  }
  for (const [key, { buckets, sum, count }] of series) {
    const rising = buckets.every(
      ([bound, value], at) =>
        at === 0 || (bound > (buckets[at - 1]?.[0] ?? 0) && value >= (buckets[at - 1]?.[1] ?? 0)),
    )
    const last = buckets.at(-1)
    if (!rising || last?.[0] !== Number.POSITIVE_INFINITY || last[1] !== count || sum === undefined)
      throw new BadExposition(`the histogram ${name} of ${key} is broken`)
  }
}
