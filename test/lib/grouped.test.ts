// Elements are grouped by a key, in their order.
import { expect, test } from 'vitest'
import { grouped } from '../../src/lib/grouped.ts'

test('keys and elements keep their order', () => {
  expect([...grouped([3, 1, 2, 5], (one) => one % 2)]).toEqual([
    [1, [3, 1, 5]],
    [0, [2]],
  ])
  expect(grouped([], String).size).toBe(0)
})
