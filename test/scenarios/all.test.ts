// What the two programs of scenarios hold: the short one of `npm test` everything once, the long one everything everywhere.
import { expect, test } from 'vitest'
import { type KindName, portOf } from '../support/port-bed.ts'
import { programOf, scenarios } from './all.ts'
import { cells } from './cells.ts'

const kinds = Object.keys(portOf) as KindName[]
const short = kinds.map((kind) => programOf(kind, false))
const long = kinds.map((kind) => ({ kind, ...programOf(kind, true) }))

/** How often each of `all` is among `some`. */
const counts = <T>(all: readonly T[], some: readonly T[]) =>
  all.map((one) => some.filter((other) => other === one).length)

test('P1 to P34 and K1 are there', () => {
  const ids = new Set(scenarios.map(({ id }) => id))
  const wanted = [...Array.from({ length: 34 }, (_, index) => `P${index + 1}`), 'K1']
  expect(wanted.filter((id) => !ids.has(id))).toEqual([])
})

test('the short program has each scenario and each cell of the table once', () => {
  const scenes = short.flatMap((program) => program.scenes.map(({ scenario }) => scenario))
  expect(counts(scenarios, scenes)).toEqual(scenarios.map(() => 1))
  const chosen = short.flatMap((program) => program.cells)
  expect(counts(cells, chosen)).toEqual(cells.map(() => 1))
})

test('every kind of port has a part of the short program, with scenarios and cells', () => {
  for (const { scenes, cells: chosen } of short) {
    expect(scenes.length).toBeGreaterThan(0)
    expect(chosen.length).toBeGreaterThan(0)
  }
})

test('the long program has each scenario in every place where it holds, and each cell on every kind that it is for', () => {
  for (const { kind, scenes, cells: chosen } of long) {
    for (const scenario of scenarios) {
      const nats = (kind === 'simnic-full' ? (['pod', 'nic'] as const) : (['pod'] as const)).filter(
        (nat) => scenario.holds?.(kind, nat) ?? true,
      )
      const found = scenes.filter((scene) => scene.scenario === scenario).map(({ nat }) => nat)
      expect({ id: scenario.id, kind, found }).toEqual({ id: scenario.id, kind, found: nats })
    }
    expect(chosen).toEqual(cells.filter(({ kinds: of }) => of.includes(kind)))
  }
})
