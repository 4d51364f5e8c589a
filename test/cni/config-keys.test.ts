// The keys of a config are read by one table: types, defaults, spellings and refusals.
import { describe, expect, expectTypeOf, test } from 'vitest'
import { given, group, list, readKeys, row, section, strangers } from '../../src/cni/config-keys.ts'
import { choice, flag, integer } from '../../src/cni/value-kinds.ts'
import { refusalOf } from '../support/request.ts'

const of = ['vf-flower'] as const
const table = {
  count: row(integer(1, 3), { of, effect: 'a number' }),
  isOn: row(flag, { of, effect: 'a switch', default: false }),
  mode: row(choice(['slow', 'fast']), { of, effect: 'a word', default: 'slow' }),
  inner: row(section({ port: row(integer(1, 9), { of, effect: 'a port', isRequired: true }) }), {
    of,
    effect: 'x',
  }),
  all: row(list({ port: row(integer(1, 9), { of, effect: 'a port' }) }), { of, effect: 'x' }),
  whole: row(
    group({ count: row(integer(0, 1), { of, effect: 'x', default: 1 }) }, 'an object of count (0-1)'),
    {
      of,
      effect: 'x',
    },
  ),
} as const
const read = (config: Parameters<typeof given>[0]) => readKeys(given(config, table), table)

test('values have the types of their kinds: undefined only where a key has no default', () => {
  const values = read({})
  expectTypeOf(values.count).toEqualTypeOf<number | undefined>()
  expectTypeOf(values.mode).toEqualTypeOf<'slow' | 'fast'>()
  expectTypeOf(values.inner).toEqualTypeOf<{ readonly port: number } | undefined>()
  expect(values).toEqual({ isOn: false, mode: 'slow' })
})

test('keys match in any case, null and an empty text count as absent', () => {
  expect(read({ COUNT: 2, ison: true, Mode: '', inner: null, All: [{ PORT: 4 }] })).toEqual({
    ...{ count: 2, isOn: true, mode: 'slow' },
    all: [{ port: 4 }],
  })
})

describe('is refused with code 7, the place, the value and what is allowed', () => {
  test.each([
    [{ count: 4 }, 'count 4: must be an integer from 1 to 3'],
    [{ count: '2' }, 'count "2": must be an integer from 1 to 3'],
    [{ isOn: 1 }, 'isOn 1: must be true or false'],
    [{ mode: 'quick' }, 'mode "quick": must be "slow" or "fast"'],
    [{ inner: [] }, 'inner []: must be an object'],
    [{ inner: {} }, 'inner.port null: must be an integer from 1 to 9'],
    [{ inner: { port: 10 } }, 'inner.port 10: must be an integer from 1 to 9'],
    [{ all: {} }, 'all {}: must be an array'],
    [{ all: [{ port: 1 }, { port: 0 }] }, 'all[1].port 0: must be an integer from 1 to 9'],
    [{ all: [7] }, 'all[0] 7: must be an object'],
    [{ whole: { count: 2 } }, 'whole {"count":2}: must be an object of count (0-1)'],
    [{ whole: 2 }, 'whole 2: must be an object of count (0-1)'],
  ])('%j', (config, message) => {
    expect(refusalOf(() => read(config))).toMatchObject({ code: 7, message: `Cannot use ${message}` })
  })
})

test('members of a group have their defaults', () => {
  expect(read({ whole: {} }).whole).toEqual({ count: 1 })
})

test('strangers are named, keys of the protocol are none', () => {
  const config = given({ Count: 1, cuont: 2, constructor: 3, 'cni.dev/x': 4 }, table)
  expect(strangers(config, table, JSON.stringify)).toEqual([
    'key "cuont" is not known and has no effect',
    'key "constructor" is not known and has no effect',
  ])
})
