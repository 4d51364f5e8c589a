// The form of a record's operations is checked when it is read.
import { describe, expect, test } from 'vitest'
import { isFlowFilter, isOp } from '../../src/ops/shape.ts'
import { examples, steer } from './examples.ts'

const all = Object.values(examples)

describe('isOp', () => {
  test.each(all.map((op) => [op.do, op] as const))(
    'takes %s as a plan makes it, and as a record has it',
    (_, op) => {
      expect(isOp(op)).toBe(true)
      expect(isOp(JSON.parse(JSON.stringify(op)))).toBe(true)
    },
  )

  // Each field of each operation, deep down, in turn: nothing is left to be a TypeError later.
  test.each(all.map((op) => [op.do, op] as const))('refuses %s with anything else in any field', (_, op) => {
    const strangers = [null, {}, [{}], Number.NaN, -1, 1.5, 2 ** 40, 'a\0', '\ud800', () => 0]
    const missed = paths(op).flatMap((path) => {
      const refused = strangers.filter((stranger) => !isOp(replaced(op, path, stranger)))
      return refused.length > 5 ? [] : [`${path.join('.')}: only ${refused.length} refused`]
    })
    expect(missed).toEqual([])
  })

  test.each([null, undefined, 7, 'ports.reserve', [], {}, { do: 7 }, { do: 'toString' }, { do: 'no.such' }])(
    'refuses %j',
    (value) => {
      expect(isOp(value)).toBe(false)
    },
  )

  test.each(['ports.reserve', 'shaper.add', 'route.add', 'vf.set'])('refuses %s without anything', (name) => {
    expect(isOp({ do: name })).toBe(false)
  })

  test.each(['net/../kernel/core_pattern', 'kernel/core_pattern', '/etc/passwd', 'net/a/..', 'net/a\0'])(
    'refuses the setting %j',
    (key) => {
      expect(isOp({ do: 'sysctl.set', side: 'host', key, value: '1', was: '0' })).toBe(false)
    },
  )
})

test('isSteerSpec is about the filter alone', () => {
  expect(isFlowFilter(steer)).toBe(true)
  expect(isFlowFilter({ ...steer, address: '10.1.0' })).toBe(false)
  expect(isFlowFilter({ link: 'pf0', cookie: 'aa' })).toBe(false)
  const { proto: _, port: __, ...ofAddress } = steer
  const shared = { ...ofAddress, fragments: 'only', mac: '02:00:00:00:00:06', verdict: 'drop' }
  expect(isFlowFilter(shared)).toBe(true)
  for (const wrong of [{ fragments: 'first' }, { mac: 'x' }, { verdict: 'ok' }])
    expect(isFlowFilter({ ...shared, ...wrong })).toBe(false)
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
