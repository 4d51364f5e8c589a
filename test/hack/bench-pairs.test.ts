// The benchmark compares two builds by pairs of calls, with bounds of the median ratio.
import { describe, expect, test } from 'vitest'
import {
  counts,
  ordersOf,
  PLACES,
  pairedRatio,
  pairOptions,
  piecesOf,
  shownRatio,
} from '../../hack/bench-pairs.ts'

describe('the words behind npm run bench', () => {
  test('without --against nobody asks for another build', () => {
    expect(pairOptions([])).toBeUndefined()
  })

  test('name the other build, how often and where; 200 rounds and both places are the default', () => {
    expect(pairOptions(['--against', 'old'])).toEqual({ against: 'old', rounds: 200, places: PLACES })
    expect(pairOptions(['--against', 'old', '--rounds', '3', '--only', 'lab'])).toEqual({
      ...{ against: 'old', rounds: 3, places: ['lab'] },
    })
  })

  test.each([
    [['--against', ''], /empty --against/],
    [['--against', 'old', '--rounds', '0'], /--rounds 0: must be a whole number above 0/],
    [['--against', 'old', '--rounds', '1.5'], /--rounds 1.5/],
    [['--against', 'old', '--rounds', 'many'], /--rounds many/],
    [['--against', 'old', '--only', 'here'], /--only here: must be native or lab/],
    [['--rounds', '3'], /without --against/],
    [['--only', 'lab'], /without --against/],
    [['--agains', 'old'], /agains/],
  ])('%j is refused', (words, reason) => {
    expect(() => pairOptions(words)).toThrow(reason)
  })
})

describe('orders of a round', () => {
  test('put each build in each place equally often', () => {
    const orders = ordersOf(['a', 'b', 'c']).map((order) => order.join(''))
    expect(orders.sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba'])
  })

  test('pieces of a series hold all of its rounds', () => {
    expect(piecesOf(200, 5)).toEqual([40, 40, 40, 40, 40])
    expect(piecesOf(13, 5).reduce((sum, size) => sum + size)).toBe(13)
    expect(piecesOf(2, 5)).toEqual([1, 1])
  })
})

describe('a ratio of pairs', () => {
  test('compares times of the same round, so that what both wait for does not count', () => {
    // The machine gets ten times slower on the way.
    const base = Array.from({ length: 100 }, (_, round) => 1 + round / 10)
    const times = base.map((time) => 1.2 * time)
    const { median, low, high } = pairedRatio(times, base)
    expect(median).toBeCloseTo(1.2)
    expect([low, high].map((bound) => bound.toFixed(6))).toEqual(['1.200000', '1.200000'])
  })

  test('is not moved by few rounds that took long, nor are its bounds', () => {
    const base = Array.from({ length: 100 }, () => 1)
    const times = base.map((_, round) => (round % 10 === 0 ? 50 : 1 + (round % 7) / 1000))
    const { median, low, high } = pairedRatio(times, base)
    expect(low).toBeLessThanOrEqual(median)
    expect(median).toBeLessThanOrEqual(high)
    expect(high).toBeLessThan(1.01)
  })

  test('has the bounds that a median of so many has: ranks 41 and 60 of a hundred', () => {
    const base = Array.from({ length: 100 }, () => 1)
    const times = base.map((_, round) => round + 1)
    expect(pairedRatio(times, base)).toEqual({ median: 51, low: 41, high: 60 })
  })

  test('of few rounds has bounds at their ends', () => {
    expect(pairedRatio([1, 2, 3], [1, 1, 1])).toEqual({ median: 2, low: 1, high: 3 })
    expect(pairedRatio([1], [2])).toEqual({ median: 0.5, low: 0.5, high: 0.5 })
  })

  test('needs both times of every round', () => {
    expect(() => pairedRatio([1, 2], [1])).toThrow('2 times with 1')
    expect(() => pairedRatio([], [])).toThrow('0 times')
  })

  test('is shown with its bounds', () => {
    expect(shownRatio({ median: 1.01234, low: 0.9, high: 1.1 })).toBe('1.012 (0.900-1.100)')
  })
})

test('a bar counts only where the build is within 1 % of itself', () => {
  const self = (median: number) => counts({ median, low: 0.5, high: 2 })
  expect([0.985, 0.995, 1, 1.009, 1.02].map(self)).toEqual([false, true, true, true, false])
})
