// Each kind of value has a parser and a schema that take and refuse the same values.
import { describe, expect, test } from 'vitest'
import {
  anyObject,
  choice,
  flag,
  folder,
  integer,
  type Leaf,
  pciAddress,
  portRanges,
  textThat,
} from '../../src/cni/value-kinds.ts'
import type { JsonValue } from '../../src/lib/json.ts'
import { problems } from '../support/json-schema.ts'

const kinds: readonly (readonly [string, Leaf<unknown>, readonly JsonValue[], readonly JsonValue[]])[] = [
  ['flag', flag, [true, false], [1, 'true', null, []]],
  ['integer', integer(-1, 3, 'ms'), [-1, 0, 3], [-2, 4, 1.5, '1', true, null]],
  ['choice', choice(['a', 'b', 'c']), ['a', 'c'], ['A', '', 1, null]],
  ['folder', folder, ['/a', '/a/b'], ['a', '/', 7, '']],
  [
    'PCI address',
    pciAddress,
    ['0000:3b:02.1', '3B:02.1', '10000:00:1f.7'],
    ['eth0', '0000:3b:20.0', '0000:3b:02.8', 5],
  ],
  ['port ranges', portRanges, [80, '8000-8080', [80, '1-2'], []], [0, 65536, {}, [true], 'x']],
  ['object', anyObject, [{}, { a: 1 }], [[], 'x', 1]],
  [
    'text',
    textThat((text) => text.length === 2, 'two letters', { minLength: 2, maxLength: 2 }),
    ['ab'],
    ['a', 'abc', 2],
  ],
]

describe.each(kinds)('%s', (_, { parse, schema }, taken, refused) => {
  test('parser and schema take and refuse the same values', () => {
    for (const value of taken)
      expect([value, parse(value) === undefined, problems(schema, value)]).toEqual([value, false, []])
    for (const value of refused)
      expect([value, parse(value), problems(schema, value).length > 0]).toEqual([value, undefined, true])
  })
})

test('words of what is allowed', () => {
  expect(integer(0, 7).allowed).toBe('an integer from 0 to 7')
  expect(integer(0, 7, 'Mbit/s').allowed).toBe('an integer from 0 to 7 (Mbit/s)')
  expect(choice(['a']).allowed).toBe('"a"')
  expect(choice(['a', 'b']).allowed).toBe('"a" or "b"')
  expect(choice(['a', 'b', 'c']).allowed).toBe('"a", "b" or "c"')
})
