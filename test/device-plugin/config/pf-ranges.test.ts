// The grammar of pfNames and rootDevices: texts of the grammar mean their set of indexes, all others are refused.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  hasIndex,
  highestIndex,
  parsePfSelector,
  unitePfSelectors,
} from '../../../device-plugin/config/pf-ranges.ts'
import type { PfSelector } from '../../../device-plugin/config/plugin-config.ts'

test.each<[string, string, PfSelector['indexes']]>([
  ['ens1f0', 'ens1f0', undefined],
  [' ens1f0 ', 'ens1f0', undefined],
  ['ens1f0#0', 'ens1f0', [[0, 0]]],
  [
    'netpf0#0,2-7,9',
    'netpf0',
    [
      [0, 0],
      [2, 7],
      [9, 9],
    ],
  ],
  [
    '0000:86:00.0#0-1,3',
    '0000:86:00.0',
    [
      [0, 1],
      [3, 3],
    ],
  ],
  [
    'p0 # 0 , 2 - 4',
    'p0',
    [
      [0, 0],
      [2, 4],
    ],
  ],
  ['p0#\t7', 'p0', [[7, 7]]],
  [
    'p0#9,0-3',
    'p0',
    [
      [0, 3],
      [9, 9],
    ],
  ],
  ['p0#0-5,3-9', 'p0', [[0, 9]]],
  ['p0#0-9,3-5', 'p0', [[0, 9]]],
  ['p0#0-2,3', 'p0', [[0, 3]]],
  ['p0#1,1', 'p0', [[1, 1]]],
  ['p0#007', 'p0', [[7, 7]]],
  ['p0#0-65535', 'p0', [[0, 65535]]],
])('%j is %s %j', (text, pf, indexes) => {
  expect(parsePfSelector(text)).toEqual({ text, pf, indexes })
})

test.each([
  ...[
    '',
    ' ',
    '#0',
    'p0#',
    'p0# ',
    'p0#,',
    'p0#1,',
    'p0#,1',
    'p0#1,,2',
    'p0#-',
    'p0#1-',
    'p0#-1',
    'p0#1-2-3',
  ],
  ...[
    'p0#3-1',
    'p0#65536',
    'p0#0-65536',
    'p0#99999999999999999999',
    'p0#a',
    'p0#0x1',
    'p0#1.5',
    'p0#+1',
    'p0#1#2',
  ],
  ...['p0#1 2', 'p0#1\n', 'p0#1;2', 'p0#1_000', 'p0#１'],
])('%j is refused', (text) => {
  expect(parsePfSelector(text)).toBeUndefined()
})

const index = fc.oneof(fc.nat(12), fc.nat(highestIndex))
const range = fc.tuple(index, index).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
const blank = fc.constantFrom('', ' ', '\t', '  ')
const written = fc.array(fc.tuple(range, blank, blank, fc.boolean()), { minLength: 1, maxLength: 12 })
const textOf = (
  pf: string,
  items: readonly (readonly [readonly [number, number], string, string, boolean])[],
) =>
  `${pf}#${items.map(([[a, b], left, right, short]) => (a === b && short ? `${left}${a}${right}` : `${left}${a}${right}-${left}${b}${right}`)).join(',')}`

describe('as sets', () => {
  test('a text means the union of its items; ranges are ascending and do not touch', () => {
    fc.assert(
      fc.property(written, fc.array(index), (items, probes) => {
        const { indexes = [] } = parsePfSelector(textOf('p0', items)) ?? {}
        const ends = items.flatMap(([[a, b]]) => [a - 1, a, b, b + 1])
        for (const probe of [...probes, ...ends])
          expect([probe, hasIndex(indexes, probe)]).toEqual([
            probe,
            items.some(([[a, b]]) => a <= probe && probe <= b),
          ])
        for (const [at, [first, last]] of indexes.entries()) {
          expect(first).toBeLessThanOrEqual(last)
          expect(first).toBeGreaterThan((indexes[at - 1]?.[1] ?? -2) + 1)
        }
      }),
    )
  })

  test('a text that is printed from its ranges means the same', () => {
    fc.assert(
      fc.property(written, (items) => {
        const { indexes = [] } = parsePfSelector(textOf('p0', items)) ?? {}
        const again = `p0#${indexes.map((pair) => pair.join('-')).join(',')}`
        expect(parsePfSelector(again)?.indexes).toEqual(indexes)
      }),
    )
  })

  test('no text makes the reader fail, and a result has a PF and indexes within bounds', () => {
    const near = fc.string({ unit: fc.constantFrom(...'p0#12-,  \t9'), maxLength: 16 })
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const parsed = parsePfSelector(text)
        if (parsed === undefined) return
        expect(parsed.pf).toBe(parsed.pf.trim())
        expect(parsed.pf).not.toBe('')
        for (const [first, last] of parsed.indexes ?? [])
          expect(0 <= first && last <= highestIndex).toBe(true)
      }),
    )
  })

  test('entries of one PF are united, in any case of its name, and no PF loses or gains an index', () => {
    const entry = fc.tuple(fc.constantFrom('p0', 'P0', 'p1'), fc.option(written, { nil: undefined }))
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), fc.array(index), (entries, probes) => {
        const parsed = entries.flatMap(
          ([pf, items]) => parsePfSelector(items === undefined ? pf : textOf(pf, items)) ?? [],
        )
        const united = unitePfSelectors(parsed)
        const names = united.map(({ pf }) => pf.toLowerCase())
        expect(new Set(names).size).toBe(names.length)
        for (const probe of [...probes, 0, 1, highestIndex])
          for (const name of ['p0', 'p1']) {
            const has = (list: readonly PfSelector[]) =>
              list.some(({ pf, indexes }) => pf.toLowerCase() === name && hasIndex(indexes, probe))
            expect([name, probe, has(united)]).toEqual([name, probe, has(parsed)])
          }
      }),
    )
  })
})
