// Forms: names of the program apart from keys on the disk, what is not known kept, what does not fit named.
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  anything,
  at,
  type Form,
  flag,
  list,
  mapOf,
  maybe,
  object,
  objectOf,
  oneOf,
  orElse,
  type ValueOf,
  whole,
} from '../../src/records/form.ts'
import { anyInt, anyText, port } from '../../src/records/values.ts'

const place = object({ uplink: at('pf', anyText), vlan: maybe('vlan_id', anyInt) })
const wish = object({
  hostPort: at('port', port),
  isFast: maybe('fast', flag),
  places: orElse('at', list(place), () => []),
})

describe('an object', () => {
  test('has names of its own in the program, and keys on the disk', () => {
    const stored = { port: 80, fast: true, at: [{ pf: 'pf0', vlan_id: 5 }, { pf: 'pf1' }] }
    const read = wish.read(stored)
    expect(read).toEqual({
      hostPort: 80,
      isFast: true,
      places: [{ uplink: 'pf0', vlan: 5 }, { uplink: 'pf1' }],
    })
    expect(wish.write(read)).toEqual(stored)
  })

  test('lacks what the disk lacks, or has what stands for it', () => {
    expect(wish.read({ port: 80 })).toEqual({ hostPort: 80, places: [] })
    expect(wish.write({ hostPort: 80, isFast: undefined, places: [] })).toEqual({ port: 80, at: [] })
  })

  test('keeps keys that are not known through any copy, out of sight', () => {
    const stored = { port: 80, at: [{ pf: 'pf0', speed: 10 }], since: null }
    const read = wish.read(stored)
    expect([Object.keys(read), JSON.stringify(read)]).toEqual([
      ['hostPort', 'places'],
      '{"hostPort":80,"places":[{"uplink":"pf0"}]}',
    ])
    const { hostPort: _, ...rest } = Object.assign({}, read)
    expect(wish.write({ ...rest, hostPort: 81 })).toEqual({ ...stored, port: 81 })
  })

  test('keeps a key that is not known by any name, and takes it for nothing else', () => {
    const text = '{"port":80,"at":[],"__proto__":{"fast":true},"constructor":1}'
    const read = wish.read(JSON.parse(text))
    expect(read.isFast).toBeUndefined()
    expect(JSON.stringify(wish.write(read))).toBe(text)
  })

  test.each<[unknown, string, string]>([
    [{ port: '80' }, 'port', 'must be of type int'],
    [{ port: 65_536 }, 'port', 'is not as this program writes it'],
    [{}, 'port', 'must be of type int'],
    [{ port: 1, fast: 1 }, 'fast', 'must be of type boolean'],
    [{ port: 1, fast: null }, 'fast', 'must be of type boolean'],
    [{ port: 1, at: {} }, 'at', 'must be of type array'],
    [{ port: 1, at: [{ pf: 'a' }, { pf: 7 }] }, 'at.1.pf', 'must be of type string'],
    [[], '', 'must be of type object'],
    ['x', '', 'must be of type object'],
  ])('is not %j', (value, path, reason) => {
    try {
      wish.read(value)
      expect.unreachable()
    } catch (error) {
      const { path: keys } = error as { path: string[] }
      expect([keys.join('.'), (error as Error).message]).toEqual([path, reason])
    }
  })
})

describe('as far as it is understood', () => {
  const read = <T>(form: Form<T>, value: unknown) => {
    const left: string[] = []
    return [form.read(value, left), left] as const
  }

  test('what may be absent, and members of lists and maps, are left out and named', () => {
    const [value, left] = read(wish, { port: 80, fast: 'very', at: [{ pf: 'a', vlan_id: 'x', hue: 1 }, 7] })
    expect(JSON.stringify(value)).toBe('{"hostPort":80,"places":[{"uplink":"a"}]}')
    expect(left).toEqual(['fast', 'at.0.vlan_id', 'at.0.hue', 'at.1'])
    const files = mapOf(() => true, anyInt)
    expect(read(files, { a: 1, b: 'x' })).toEqual([{ a: 1 }, ['b']])
  })

  test('what is whole or nothing is nothing, with one line', () => {
    const [value, left] = read(list(whole(place)), [{ pf: 'a', vlan_id: 'x', hue: 1 }, { pf: 'b' }])
    expect([value, left]).toEqual([[{ uplink: 'b' }], ['0.vlan_id']])
  })

  test('what must be there is missed', () => {
    expect(() => read(wish, { port: 'x' })).toThrow('must be of type int')
  })
})

test('one of several words says which', () => {
  expect(() => oneOf('a', 4).read('b')).toThrow('must be a or 4')
  expect(() => mapOf((key) => key === 'a', anything).read({ b: 1 })).toThrow(
    'is not as this program writes it',
  )
})

test('the compiler wants each field of a type, with its form, and no other', () => {
  interface Wish {
    readonly port: number
    readonly name?: string
  }
  const form = objectOf<Wish>({ port: at('p', anyInt), name: maybe('n', anyText) })
  expectTypeOf<ValueOf<typeof form>>().toEqualTypeOf<Wish>()
  expect(form.write({ port: 1, name: 'x' })).toEqual({ p: 1, n: 'x' })
  // @ts-expect-error a field is missing
  objectOf<Wish>({ port: at('p', anyInt) })
  // @ts-expect-error a field that the type does not have
  objectOf<Wish>({ port: at('p', anyInt), name: maybe('n', anyText), more: maybe('m', anyInt) })
  // @ts-expect-error another type of value
  objectOf<Wish>({ port: at('p', anyText), name: maybe('n', anyText) })
  // @ts-expect-error a field that may be absent is always there
  objectOf<Wish>({ port: at('p', anyInt), name: at('n', anyText) })
  // @ts-expect-error a field that is always there may be absent
  objectOf<Wish>({ port: maybe('p', anyInt), name: maybe('n', anyText) })
})
