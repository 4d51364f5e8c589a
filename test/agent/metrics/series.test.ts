// Counters and histograms as text for Prometheus: what was counted, under the names and labels of the table.
import { expect, test } from 'vitest'
import { Series, sample } from '../../../src/agent/metrics/series.ts'
import { agentMetrics, callBuckets } from '../../../src/agent/metrics/table.ts'

test('counters count by their labels, which are escaped', () => {
  const series = new Series()
  const reason = 'a "b"\\\nc'
  expect(series.count('vf_flower_agent_refusals_total', { reason })).toBe(1)
  expect(series.count('vf_flower_agent_refusals_total', { reason })).toBe(2)
  expect(series.count('vf_flower_agent_refusals_total', { reason: 'other' })).toBe(1)
  const text = series.text([])
  expect(text).toContain('vf_flower_agent_refusals_total{reason="a \\"b\\"\\\\\\nc"} 2\n')
  expect(text).toContain('vf_flower_agent_refusals_total{reason="other"} 1\n')
})

test('a histogram counts a time in its bucket and in all larger ones, in seconds', () => {
  const series = new Series()
  for (const milliseconds of [2, 2.5, 40_000])
    series.time('vf_flower_agent_call_duration_seconds', { verb: 'ADD' }, milliseconds)
  const name = 'vf_flower_agent_call_duration_seconds'
  const lines = series.text([]).split('\n')
  const bucket = (bound: string) =>
    lines.find((line) => line.startsWith(`${name}_bucket{verb="ADD",le="${bound}"}`))
  expect(bucket('0.002')).toMatch(/ 1$/)
  expect(bucket('0.005')).toMatch(/ 2$/)
  expect(bucket('30')).toMatch(/ 2$/)
  expect(bucket('+Inf')).toMatch(/ 3$/)
  expect(lines).toContain(`${name}_sum{verb="ADD"} 40.0045`)
  expect(lines).toContain(`${name}_count{verb="ADD"} 3`)
  expect([...callBuckets]).toEqual(callBuckets.toSorted((one, other) => one - other))
})

test('each metric of the table has its help and its kind, with values or without', () => {
  const text = new Series().text([sample('vf_flower_agent_waiting_calls', {}, 3)])
  for (const [name, { kind, help }] of Object.entries(agentMetrics))
    expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`)
  expect(text).toContain('vf_flower_agent_waiting_calls 3\n')
})
