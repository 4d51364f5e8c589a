// A look for filters of ours goes by these alone where an interface has many.
import { expect, test } from 'vitest'
import { filterPriority, onlyPriority, ownSlots } from '../../../src/ops/marks/own-slots.ts'
import { meterPriorities, ratePriority } from '../../../src/ops/marks/rate-numbers.ts'

test('every priority that a filter of ours can have is a slot, each once', () => {
  const used = [...Object.values(filterPriority), ...meterPriorities, ...Object.values(ratePriority)]
  expect(ownSlots.map(({ priority }) => priority).toSorted((a, b) => a - b)).toEqual(
    used.toSorted((a, b) => a - b),
  )
  expect(new Set(used).size).toBe(used.length)
})

test('the only priority of a card in legacy mode is a slot for filters of every protocol', () => {
  const [slot] = ownSlots.filter(({ priority }) => priority === onlyPriority)
  expect(slot).toMatchObject({ protocol: 0, kinds: expect.arrayContaining(['flower', 'matchall']) })
})

test('no priority of a filter that the NIC is asked for is above 16: mlx5 without ignore_flow_level has no more', () => {
  const { detour: _, ...inNic } = ratePriority
  const asked = [...Object.values(filterPriority), ...meterPriorities, ...Object.values(inNic)]
  expect(Math.max(...asked)).toBeLessThanOrEqual(16)
})
