// Attributes are encoded and decoded by tables; unknown ones are kept, and malformed ones name their place.
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type AttrsOf, attrs, byKind } from '../../../src/netlink/codec/attrs.ts'
import { indexed, ordered, repeated } from '../../../src/netlink/codec/lists.ts'
import { array, struct } from '../../../src/netlink/codec/struct.ts'
import { be16, bytes, cstr, u8, u16, u32, u64 } from '../../../src/netlink/codec/wire.ts'

const inner = attrs('INNER', { INNER_A: [1, u8], INNER_B: [2, be16] })
const other = attrs('OTHER', () => ({ OTHER_NAME: [1, cstr(8)] }))
const table = attrs('T', {
  T_KIND: [1, cstr(16)],
  T_OPTIONS: [2, byKind('T_KIND', { inner, other })],
  T_NUMBER: [3, u32],
  T_NEST: [4, inner],
  T_PLAIN: [5, inner, 'noflag'],
  T_LIST: [6, repeated('T_ENTRY', [7, u16])],
  T_INDEXED: [8, indexed('T_BY_ORDER', inner, 'noflag')],
  T_ORDERED: [9, ordered('S', { S_A: [1, u8], S_B: [2, u8] })],
})
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex')
const from = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

describe('attrs()', () => {
  test('writes length, number, payload and padding', () => {
    expect(hex(table.encode({ T_NUMBER: 7 }))).toBe('0800030007000000')
    expect(hex(inner.encode({ INNER_A: 7, INNER_B: 8080 }))).toBe('050001000700000006000200' + '1f900000')
  })

  test('writes in the order of the keys', () => {
    expect(hex(inner.encode({ INNER_B: 1, INNER_A: 2 }))).toBe('06000200000100000500010002000000')
    expect(Object.keys(inner.decode(from('0600020000010000 0500010002000000')))).toEqual([
      'INNER_B',
      'INNER_A',
    ])
  })

  test('sets NLA_F_NESTED on nests, unless the row says noflag', () => {
    expect(hex(table.encode({ T_NEST: {} }))).toBe('04000480')
    expect(hex(table.encode({ T_PLAIN: {} }))).toBe('04000500')
  })

  test.each(['04000400', '04000580', '04000440', '08000380 01000000', '08000340 01000000'])(
    'keeps flags that are not the row’s: %s',
    (text) => {
      expect(table.encode(table.decode(from(text)))).toEqual(from(text))
    },
  )

  test.each(['0a000100 696e6e6572 00 0000', '09000100 696e6e6572 000000', '04000100', '05000100 00 000000'])(
    'keeps whether a string had its zero: %s',
    (text) => {
      expect(table.encode(table.decode(from(text)))).toEqual(from(text))
    },
  )

  test('keeps unknown attributes, flags and repetitions included', () => {
    const text = '05006300 aa 000000 08000300 01000000 04006380 05006300 bb 000000'
    const value = table.decode(from(text))
    expect(value).toEqual({
      '#99': Uint8Array.of(0xaa),
      T_NUMBER: 1,
      '#99.2': new Uint8Array(),
      '#99.3': Uint8Array.of(0xbb),
    })
    expect(table.encode(value)).toEqual(from(text))
  })

  test('reads options by their kind, wherever that stands', () => {
    const kind = '0a000100 696e6e6572 00 0000'
    const options = '0c000280 0500010007000000'
    expect(table.decode(from(kind + options)).T_OPTIONS).toEqual({ INNER_A: 7 })
    expect(table.decode(from(options + kind)).T_OPTIONS).toEqual({ INNER_A: 7 })
    expect(table.encode(table.decode(from(options + kind)))).toEqual(from(options + kind))
  })

  test('keeps options of an unknown kind, or of none, as bytes', () => {
    for (const text of ['0c000280 0500010007000000', '08000100 6e657700 05000280 ff000000']) {
      const value = table.decode(from(text))
      expect(value.T_OPTIONS).toBeInstanceOf(Uint8Array)
      expect(table.encode(value)).toEqual(from(text))
    }
  })

  test('writes raw options of a known kind too', () => {
    expect(hex(table.encode({ T_KIND: 'inner', T_OPTIONS: Uint8Array.of(1, 2, 3, 4) }))).toMatch(
      /0800028001020304$/,
    )
  })

  test.each([
    [{ NOPE: 1 }, 'Cannot encode NOPE > T: it has no attribute of that name'],
    [{ '#16384': new Uint8Array() }, 'no attribute of that name'],
    [{ '#x': new Uint8Array() }, 'no attribute of that name'],
    [{ T_NUMBER: undefined }, 'Cannot encode T_NUMBER > u32: the value is undefined'],
    [
      { T_NEST: { INNER_B: 65536 } },
      'Cannot encode T_NEST > INNER_B > be16: need an integer 0 to 65535, got 65536',
    ],
    [
      { T_KIND: 'new', T_OPTIONS: { A: 1 } },
      'Cannot encode T_OPTIONS > options: need bytes, as T_KIND is none of inner, other',
    ],
    [{ T_LIST: [1, -1] }, 'Cannot encode T_LIST > T_ENTRY[1] > u16'],
    [{ T_INDEXED: [[0x4000, {}]] }, 'is no attribute number'],
    [{ '#99': new Uint8Array(65532) }, 'do not fit into an attribute'],
  ])('refuses to encode what it has no bytes for %j', (value: object, message) => {
    expect(() => table.encode(value as never)).toThrow(RangeError)
    expect(() => table.encode(value as never)).toThrow(message)
  })

  test.each([
    ['0800030007000000 0800030008000000', 'Cannot decode T: T_NUMBER is there twice'],
    ['07000300070000', 'Cannot decode T_NUMBER > u32: need 4 bytes, got 3'],
    ['0c000480 06000200 1f90', 'Cannot decode T: attribute 4 says 12 bytes, 10 are there'],
    ['0a000480 07000200 1f90', 'Cannot decode T_NEST > INNER: attribute 2 says 7 bytes, 6 are there'],
    ['09000480 05000200 1f 000000', 'Cannot decode T_NEST > INNER_B > be16: need 2 bytes, got 1'],
    ['03000300', 'says 3 bytes'],
    ['00000000', 'says 0 bytes'],
    ['0800030007000000 0400', '2 bytes left over'],
    ['0c000680 06000800 0100 0000', 'Cannot decode T_LIST > T_ENTRY: attribute 8 in a list of 7'],
  ])('refuses bytes that are no attributes: %s', (text, message) => {
    expect(() => table.decode(from(text))).toThrow(RangeError)
    expect(() => table.decode(from(text))).toThrow(message)
  })

  test('takes a last attribute without padding', () => {
    expect(table.decode(from('0a000480 06000200 1f90')).T_NEST).toEqual({ INNER_B: 8080 })
  })

  test('infers its types', () => {
    type T = AttrsOf<(typeof table)['table']>
    expectTypeOf<T['T_NUMBER']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<T['T_LIST']>().toEqualTypeOf<readonly number[] | undefined>()
    expectTypeOf<NonNullable<T['T_NEST']>['INNER_B']>().toEqualTypeOf<number | undefined>()
    expectTypeOf<T['#99']>().toEqualTypeOf<Uint8Array>()
    // @ts-expect-error: the table has no such attribute
    const unknown: T = { NOPE: 1 }
    // @ts-expect-error: a number, not a string
    const wrong: T = { T_NUMBER: '1' }
    expect([unknown, wrong]).toHaveLength(2)
  })
})

describe('lists', () => {
  test('repeated() is a list of payloads', () => {
    expect(hex(table.encode({ T_LIST: [1, 2] }))).toBe('140006800600070001000000060007000200' + '0000')
    expect(table.decode(table.encode({ T_LIST: [1, 2] }))).toEqual({ T_LIST: [1, 2] })
  })

  test('indexed() keeps the numbers as they came', () => {
    const text = '1c000880 0c000100 0500010007000000 0c000380 0500010008000000'
    const value = table.decode(from(text))
    expect(value.T_INDEXED).toEqual([
      [1, { INNER_A: 7 }],
      [3, { INNER_A: 8 }],
    ])
    expect(table.encode(value)).toEqual(from(text))
  })

  test('ordered() keeps repetitions, unknown numbers and flags in their places', () => {
    const text =
      '2c000980 05000100 01 000000 05000200 02 000000 05000180 03 000000 05000900 04 000000 05000200 05 000000'
    const value = table.decode(from(text))
    expect(value.T_ORDERED).toEqual([
      ['S_A', 1],
      ['S_B', 2],
      ['S_A', 3],
      ['#9', Uint8Array.of(4)],
      ['S_B', 5],
    ])
    expect(table.encode(value)).toEqual(from(text))
  })
})

describe('struct()', () => {
  const s = struct('s', [
    ['a', u8],
    ['_pad', bytes(3)],
    ['b', u32],
    ['c', u64],
  ])

  test('has the fields in their order and the padding as zeros', () => {
    expect(s.size).toBe(16)
    expect(hex(s.encode({ a: 1, b: 2, c: 3n }))).toBe('01000000020000000300000000000000')
    expect(s.decode(from('01ffffff 02000000 0300000000000000'))).toEqual({ a: 1, b: 2, c: 3n })
    expect(s.offsetOf('c')).toBe(8)
  })

  test('keeps what a newer kernel adds at its end', () => {
    const text = '01000000 02000000 0300000000000000 aabb'
    expect(s.decode(from(text))).toEqual({ a: 1, b: 2, c: 3n, '#tail': Uint8Array.of(0xaa, 0xbb) })
    expect(s.encode(s.decode(from(text)))).toEqual(from(text))
  })

  test('refuses fewer bytes and missing fields', () => {
    expect(() => s.decode(new Uint8Array(15))).toThrow('Cannot decode s: need 16 bytes, got 15')
    expect(() => s.encode({ a: 1, c: 3n } as never)).toThrow('Cannot encode s: b is missing')
    expect(() => s.encode({ a: 256, b: 0, c: 3n })).toThrow('Cannot encode s.a')
  })

  test('has no padding in its type', () => {
    expectTypeOf(s.decode(new Uint8Array(16))).toEqualTypeOf<
      { readonly a: number; readonly b: number; readonly c: bigint } & { readonly '#tail'?: Uint8Array }
    >()
  })

  test('array() is as many as there are', () => {
    const list = array(
      struct('p', [
        ['x', u8],
        ['y', u8],
      ]),
    )
    expect(list.decode(from('01020304'))).toEqual([
      { x: 1, y: 2 },
      { x: 3, y: 4 },
    ])
    expect(
      hex(
        list.encode([
          { x: 1, y: 2 },
          { x: 3, y: 4 },
        ]),
      ),
    ).toBe('01020304')
    expect(() => list.decode(from('010203'))).toThrow('no multiple of 2')
  })
})
