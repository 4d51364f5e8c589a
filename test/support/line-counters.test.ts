// The counters of lines stand before statements that run, and before nothing else.
import { expect, test } from 'vitest'
import { withCounters } from './line-counters.ts'

/** The numbers of the lines of a source that run. */
function linesOf(source: string): number[] {
  const all = new Map<string, Set<number>>()
  new Function('globalThis', withCounters('a.ts', source))({ linesRun: all })
  return [...(all.get('a.ts') ?? [])].sort((a, b) => a - b)
}

test('a statement that runs counts with the line on which it begins', () => {
  const source = `function run(a) {
    const sum = a +
      1
    if (sum > 1) return sum
    else throw sum
  }
  run(1)`
  expect(linesOf(source)).toEqual([2, 4, 7])
})

test('neither a branch that is not taken nor a function that nobody calls counts', () => {
  const source = `const never = () => 1
  function nor(a) {
    return a
  }
  if (false)
    never()
  else
    for (const one of [])
      nor(one)`
  expect(linesOf(source)).toEqual([5, 8])
})

test('the values of a table do not count when it is made, but its functions do when they are called', () => {
  const source = `const table = {
    one: () =>
      ({ value: (() => 1)() }),
    two: () => 2,
  }
  table.one()`
  expect(linesOf(source)).toEqual([3, 6])
})

test('the program does what it did: loops with labels, cases, generators, bodies that end together', () => {
  const source = `function* numbers() { yield 1; yield 2 }
  const nested = (a) => (b) => a + b
  let sum = 0
  outer: for (const one of numbers())
    for (const two of numbers())
      if (two > one) continue outer
      else sum += nested(one)(two)
  switch (sum) {
    case 8:
      throw new Error('wrong')
    default:
      sum = 0
  }
  if (sum !== 0) throw new Error('wrong')`
  expect(linesOf(source)).toEqual([1, 2, 4, 5, 6, 7, 8, 12, 14])
})
