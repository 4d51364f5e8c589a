// Percentiles of the last calls, by the nearest rank.
import { expect, test } from 'vitest'
import { LastTimes } from '../../../src/agent/metrics/percentiles.ts'

test('there are none before the first call', () => {
  expect(new LastTimes().percentiles([0.5])).toBeUndefined()
})

test('are times of calls, whatever their order', () => {
  const times = new LastTimes()
  for (const time of [5, 1, 4, 2, 3]) times.add(time)
  expect(times.percentiles([0.2, 0.5, 0.8, 0.81, 1])).toEqual([1, 3, 4, 5, 5])
})

test('are those of the last thousand', () => {
  const times = new LastTimes()
  for (let call = 0; call < 3_000; call++) times.add(call)
  expect(times.percentiles([0.001, 1])).toEqual([2_000, 2_999])
})
