// The cases of the fault tables strike every point as often as the table's extent says.
import { describe, expect, test } from 'vitest'
import { faults, type Point, planCases, verbs } from './fault-cases.ts'

const many: Point[] = verbs.flatMap((verb) =>
  Array.from({ length: verb === 'CHECK' ? 1 : 7 }, (_, index) => ({
    verb,
    point: `op:${index + 1}`,
    op: 'link.set',
    what: '',
    ...(verb === 'failed ADD' ? { first: 'op:9:before:EBUSY' } : {}),
  })),
)

describe.each(Array.from({ length: 10 }, (_, seed) => seed))('the short table, seed %i', (seed) => {
  const cases = planCases(many, seed, 'short')

  test.each(verbs)('%s sees each fault, and each point is struck before and after', (verb) => {
    const own = cases.filter((one) => one.verb === verb)
    expect(new Set(own.map(({ fault }) => fault))).toEqual(new Set(faults))
    const points = many.filter((point) => point.verb === verb)
    for (const { point } of points) {
      const halves = own.filter((one) => one.point === point).map(({ when }) => when)
      expect(new Set(halves)).toEqual(new Set(['before', 'after']))
    }
  })

  test('on the way back of a failed ADD each step is killed once and refused once', () => {
    for (let index = 1; index <= 7; index++) {
      const own = cases.filter(({ verb, point }) => verb === 'failed ADD' && point === `op:${index}`)
      expect(own.map(({ fault }) => fault === 'SIGKILL').sort()).toEqual([false, true])
      expect(own.every(({ told }) => told.startsWith('op:9:before:EBUSY,'))).toBe(true)
    }
  })

  test('no two cases have the same name, and GC is followed by nothing but GC', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
    expect(cases.filter(({ verb, by }) => verb === 'GC' && by !== 'GC')).toEqual([])
    expect(new Set(cases.map(({ by }) => by))).toEqual(new Set(['DEL', 'GC']))
  })
})

test('the long table has all faults before and after every point', () => {
  expect(planCases(many, 3, 'full')).toHaveLength(many.length * 2 * faults.length)
})

test('the sparse table has one fault before and one after every point', () => {
  expect(planCases(many, 3, 'sparse')).toHaveLength(many.length * 2)
})

test('the table of once strikes each point once, some before and some after', () => {
  const cases = planCases(many, 3, 'once')
  expect(cases).toHaveLength(many.length)
  expect(new Set(cases.map(({ when }) => when))).toEqual(new Set(['before', 'after']))
})

test('the tables of killed ones strike each point once, or before and after, and by SIGKILL alone', () => {
  const [once, twice] = [planCases(many, 3, 'killed'), planCases(many, 3, 'killed twice')]
  expect([once.length, twice.length]).toEqual([many.length, 2 * many.length])
  expect(new Set([...once, ...twice].map(({ fault }) => fault))).toEqual(new Set(['SIGKILL']))
})
