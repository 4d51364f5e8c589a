// Operations on the disk: each as its fixture has it, whatever the program calls it, and nothing that no kernel call can be made of.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Form } from '../../../src/records/form.ts'
import { flowFilter } from '../../../src/records/ops/filters.ts'
import { op } from '../../../src/records/ops/table.ts'
import { examples, steer } from '../../ops/examples.ts'

const all = Object.values(examples)
const fits = (form: Form<unknown>, value: unknown) => {
  try {
    form.read(value)
    return true
  } catch (error) {
    expect(error).toMatchObject({ name: 'Misfit' })
    return false
  }
}

describe('an operation on the disk', () => {
  const fixture = join(import.meta.dirname, '../../fixtures/records/operations.json')
  const stored = JSON.parse(readFileSync(fixture, 'utf8')) as Record<string, unknown>

  test('has its name and its fields for ever: records of living pods have them', () => {
    expect(JSON.parse(JSON.stringify(all.map((one) => op.write(one))))).toEqual(Object.values(stored))
    expect(Object.values(stored).map((one) => op.read(one))).toEqual(all)
  })

  test('with keys that are not known is written as it was', () => {
    for (const one of Object.values(stored)) {
      const later = { ...(one as object), since: { kernel: '9.0' } }
      const read = op.read(later)
      expect(read).not.toHaveProperty('since')
      expect(op.write({ ...read })).toEqual(later)
    }
  })

  // Each field of each operation, deep down, in turn: nothing is left to be a TypeError later.
  test.each(all.map((one) => [one.do, one] as const))(
    'is no %s with anything else in any field',
    (_, one) => {
      const written = JSON.parse(JSON.stringify(op.write(one))) as unknown
      const strangers = [null, {}, [{}], Number.NaN, -1, 1.5, 2 ** 40, 'a\0', '\ud800', () => 0]
      const missed = paths(written).flatMap((path) => {
        const refused = strangers.filter((stranger) => !fits(op, replaced(written, path, stranger)))
        return refused.length > 5 ? [] : [`${path.join('.')}: only ${refused.length} refused`]
      })
      expect(missed).toEqual([])
    },
  )

  test.each([null, undefined, 7, 'ports.reserve', [], {}, { do: 7 }, { do: 'toString' }, { do: 'no.such' }])(
    'is not %j',
    (value) => {
      expect(fits(op, value)).toBe(false)
    },
  )

  test.each(['ports.reserve', 'shaper.add', 'route.add', 'vf.set'])('is no %s without anything', (name) => {
    expect(fits(op, { do: name })).toBe(false)
  })

  test.each(['net/../kernel/core_pattern', 'kernel/core_pattern', '/etc/passwd', 'net/a/..', 'net/a\0'])(
    'is none about the setting %j',
    (key) => {
      expect(fits(op, { do: 'sysctl.set', side: 'host', key, value: '1', was: '0' })).toBe(false)
    },
  )

  test('is understood as a whole or not at all, in a newer format too', () => {
    const left: string[] = []
    const keys = [{ address: '10.1.0.1', proto: 'quic', port: 1, toAddress: '10.1.0.5', toPort: 1 }]
    expect(() => op.read({ do: 'ports.reserve', keys, masquerade: [], owner: 'x' }, left)).toThrow()
    expect(left).toEqual([])
  })
})

test('a filter is about the filter alone', () => {
  expect(fits(flowFilter, steer)).toBe(true)
  expect(fits(flowFilter, { ...steer, address: '10.1.0' })).toBe(false)
  expect(fits(flowFilter, { link: 'pf0', cookie: 'aa' })).toBe(false)
  const { proto: _, port: __, ...ofAddress } = steer
  const shared = { ...ofAddress, fragments: 'only', mac: '02:00:00:00:00:06', verdict: 'drop' }
  expect(fits(flowFilter, shared)).toBe(true)
  for (const wrong of [{ fragments: 'first' }, { mac: 'x' }, { verdict: 'ok' }])
    expect(fits(flowFilter, { ...shared, ...wrong })).toBe(false)
})

/** Every field that is a value of its own. */
function paths(value: unknown, at: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [at]
  return Object.entries(value).flatMap(([key, member]) => (key === 'do' ? [] : paths(member, [...at, key])))
}

function replaced(value: unknown, [key, ...rest]: readonly string[], stranger: unknown): unknown {
  if (key === undefined) return stranger
  if (Array.isArray(value))
    return value.map((member, at) => (String(at) === key ? replaced(member, rest, stranger) : member))
  return { ...(value as object), [key]: replaced(Reflect.get(value as object, key), rest, stranger) }
}
