// docs/metrics.md and the Grafana dashboard are those of the table of metrics, and every query asks for metrics and labels that exist.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type MetricRow, metricGroups, metricTable } from '../../device-plugin/observe/table.ts'
import { dashboard, metricsPage, withMetricTables } from '../../hack/docs.ts'
import { agentMetrics } from '../../src/agent/metrics/table.ts'

test('the tables of docs/metrics.md are those of the sources (sh hack/bun.sh hack/docs.ts writes them)', () => {
  const page = readFileSync(metricsPage, 'utf8')
  expect(page).toBe(withMetricTables(page))
  for (const name of Object.keys({ ...metricTable, ...agentMetrics }))
    expect(page).toContain(`| \`${name}\` |`)
})

interface Shown {
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
}

describe('the dashboard', () => {
  const text = readFileSync(dashboard.path, 'utf8')
  const { panels, templating } = JSON.parse(text) as {
    readonly panels: readonly Shown[]
    readonly templating: { readonly list: readonly { readonly query: string }[] }
  }
  const queries = [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...templating.list.map(({ query }) => query),
  ]
  const legends = panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr, legendFormat }) => [expr, legendFormat]),
  )
  const names = (query: string) => [...query.matchAll(/\bvf_flower_\w+/g)].map(([name]) => name)
  /** The row of a name; a histogram has three. */
  const rowOf = (name: string): MetricRow | undefined =>
    new Map<string, MetricRow>(
      Object.entries(metricTable).flatMap(([own, row]) =>
        row.kind === 'histogram'
          ? ['_bucket', '_sum', '_count'].map((end) => [`${own}${end}`, row] as const)
          : [[own, row] as const],
      ),
    ).get(name)

  test('is that of the sources (sh hack/bun.sh hack/docs.ts writes it)', () => {
    expect(text).toBe(dashboard.text())
  })

  test('asks for metrics that exist, and shows something of each group', () => {
    const asked = queries.flatMap(names)
    expect(asked.length).toBeGreaterThan(40)
    expect(asked.filter((name) => rowOf(name) === undefined)).toEqual([])
    for (const [group, metrics] of Object.entries(metricGroups))
      expect([group, asked.some((name) => Object.keys(metrics).some((own) => name.startsWith(own)))]).toEqual(
        [group, true],
      )
  })

  test('asks for labels that the metrics have', () => {
    const wrong = queries.flatMap((query) => {
      const known = new Set([...names(query).flatMap((name) => rowOf(name)?.labels ?? []), 'instance', 'le'])
      const matched = [...query.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label)
      const grouped = [...query.matchAll(/\b(?:by|on|group_left)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) =>
        list.split(',').map((one) => one.trim()),
      )
      return [...matched, ...grouped]
        .filter((label) => !known.has(label))
        .map((label) => `${label}: ${query}`)
    })
    expect(wrong).toEqual([])
  })

  test('names in legends only labels that the query leaves', () => {
    const wrong = legends.flatMap(([query = '', legend = '']) => {
      const by = /\bby \(([^)]*)\)/.exec(query)?.[1]?.split(', ')
      const left = new Set(by ?? ['instance', ...names(query).flatMap((name) => rowOf(name)?.labels ?? [])])
      return [...legend.matchAll(/\{\{(\w+)\}\}/g)].flatMap(([, label = '']) =>
        left.has(label) ? [] : [`${label}: ${query}`],
      )
    })
    expect(wrong).toEqual([])
  })

  test('brackets close, counters are asked for their rate, gauges are not', () => {
    for (const query of queries) {
      let open = 0
      for (const letter of query.replaceAll(/"[^"]*"/g, '')) {
        if ('([{'.includes(letter)) open++
        if (')]}'.includes(letter)) open--
        expect(open).toBeGreaterThanOrEqual(0)
      }
      expect([query, open]).toEqual([query, 0])
      for (const name of names(query)) {
        const kind = rowOf(name)?.kind
        expect([query, query.includes(`rate(${name}{`)]).toEqual([query, kind !== 'gauge'])
      }
    }
  })

  test('no two panels lie on each other, and none is outside', () => {
    const taken = new Set<string>()
    for (const { title, gridPos } of panels) {
      expect([title, gridPos.x + gridPos.w <= 24]).toEqual([title, true])
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.has(`${x} ${y}`)]).toEqual([title, false])
          taken.add(`${x} ${y}`)
        }
    }
  })
})
