// The short program of scenarios, that of `npm test`, has everything where it tells most, the long one everything
// everywhere. Each part has a test file that runs it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type KindName, portOf } from '../../hack/lab/bed/port-bed.ts'
import { type NodeOfKinds, nodes, programOf, scenarios, shareOf } from './all.ts'
import { cells } from './cells.ts'
import type { Scenario } from './scenario.ts'

const top = join(import.meta.dirname, '../..')
const kinds = Object.keys(portOf) as KindName[]
const withCard = kinds.filter((kind) => portOf[kind] !== 'veth')
const nameOf = ({ id, title }: Scenario) => `${id}: ${title}`
const holdsBehindVeth = ({ holds }: Scenario) => holds?.('bridge', 'pod') ?? true
/** Names of the scenarios that the short program has on these kinds, with a name for each time. */
const shownOn = (some: readonly KindName[]) =>
  some.flatMap((kind) => programOf(kind, false).scenes.map(({ scenario }) => nameOf(scenario))).sort()

test('P1 to P34, K1, K2 and N1 to N6 are there', () => {
  const ids = new Set(scenarios.map(({ id }) => id))
  const upTo = (letter: string, last: number) =>
    Array.from({ length: last }, (_, index) => `${letter}${index + 1}`)
  const wanted = [...upTo('P', 34), ...upTo('K', 2), ...upTo('N', 6)]
  expect(wanted.filter((id) => !ids.has(id))).toEqual([])
})

test('the short program has each scenario that holds behind a veth on a bridge, except for SCTP', () => {
  const wanted = scenarios.filter((one) => holdsBehindVeth(one) && one.sctp !== true)
  expect(shownOn(['bridge'])).toEqual(wanted.map(nameOf).sort())
})

test('the short program has on a card, once each, all that holds on no veth and what filters, NIC or pod add to', () => {
  const ids = [
    'P6',
    'P7',
    'P8',
    'P9',
    'P10',
    'P11',
    'P12',
    'P18',
    'P19',
    'P25',
    'P26',
    'P27',
    'P32',
    'K1',
    'K2',
  ]
  const onCards = [...ids, ...['N1', 'N2', 'N3', 'N4', 'N5', 'N6']]
  const wanted = scenarios.filter(
    (one) => !holdsBehindVeth(one) || (onCards.includes(one.id) && (one.holds?.('igb', 'pod') ?? true)),
  )
  expect(shownOn(withCard)).toEqual(wanted.map(nameOf).sort())
})

test('where a scenario says that it is shown, it holds, and the short program has it there', () => {
  for (const scenario of scenarios) {
    for (const { kind, nat } of scenario.shown ?? []) {
      const { scenes } = programOf(kind, false)
      const found = scenes.filter((one) => one.scenario === scenario && one.nat === nat)
      expect({ name: nameOf(scenario), kind, found: found.length }).toEqual({
        name: nameOf(scenario),
        kind,
        found: 1,
      })
    }
  }
})

test('the short program has each cell of the table once on a card, or on every port without one', () => {
  for (const cell of cells) {
    const found = kinds.filter((kind) => programOf(kind, false).cells.includes(cell))
    const isVeth = cell.kinds.every((kind) => portOf[kind] === 'veth')
    expect({ cell, found: isVeth ? found : found.length }).toEqual({ cell, found: isVeth ? cell.kinds : 1 })
  }
})

test('every kind of port has a part of the short program, with scenarios and cells', () => {
  for (const kind of kinds) {
    const { scenes, cells: chosen } = programOf(kind, false)
    expect({ kind, scenes: scenes.length > 0, cells: chosen.length > 0 }).toEqual({
      kind,
      scenes: true,
      cells: true,
    })
  }
})

test('the long program has each scenario in every place where it holds, and each cell on every kind that it is for', () => {
  for (const kind of kinds) {
    const { scenes, cells: chosen } = programOf(kind, true)
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

test.each([false, true])('test files run all of the program, and nothing twice (the long one: %s)', (all) => {
  const shares = Object.entries<NodeOfKinds>(nodes).flatMap(([file, node]) =>
    node.kinds.map((kind) => ({ file, kind, ...shareOf(node, kind, all) })),
  )
  for (const kind of kinds) {
    const [program, here] = [programOf(kind, all), shares.filter((share) => share.kind === kind)]
    const scenesOf = ({ scenes }: typeof program) =>
      scenes.map(({ scenario, nat }) => `${nat} ${nameOf(scenario)}`)
    expect(here.flatMap(scenesOf).sort()).toEqual(scenesOf(program).sort())
    expect(here.flatMap((share) => share.cells)).toEqual(program.cells)
  }
  for (const file of Object.keys(nodes)) {
    const path = join(top, `${file}.test.ts`)
    expect(
      existsSync(path) && readFileSync(path, 'utf8').includes(`describeScenarios('${file}')`),
      file,
    ).toBe(true)
  }
})
