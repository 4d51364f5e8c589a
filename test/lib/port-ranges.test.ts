// Ranges of ports are read from the policy, with both ends.
import { expect, test } from 'vitest'
import { hasPort, showRanges, tryParseRanges } from '../../src/lib/port-ranges.ts'

test.each([
  [[8080, '30000-32767'], '8080, 30000-32767'],
  ['1-65535', '1-65535'],
  [443, '443'],
  [['7-7'], '7'],
  [[], 'none'],
])('%j is %s', (value, shown) => {
  expect(showRanges(tryParseRanges(value) ?? [{ first: 0, last: 0 }])).toBe(shown)
})

test.each([[[0]], ['x'], [['1-']], [['10-5']], [[65536]], [[1.5]], [[null]], [[[1]]], [{}], [undefined]])(
  '%j is no list of ports',
  (value) => {
    expect(tryParseRanges(value)).toBeUndefined()
  },
)

test('both ends of a range belong to it', () => {
  const ranges = [
    { first: 10, last: 12 },
    { first: 20, last: 20 },
  ]
  expect([9, 10, 12, 13, 20].filter((port) => hasPort(ranges, port))).toEqual([10, 12, 20])
  expect(hasPort([], 10)).toBe(false)
})
