// Numbers, text and bytes have the kernel's form and byte order.
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  be16,
  be32,
  be64,
  bytes,
  type Codec,
  cstr,
  flag,
  ip,
  ipv4,
  ipv6,
  lladdr,
  mac,
  s16,
  s32,
  u8,
  u16,
  u32,
  u64,
  type Value,
} from '../../../src/netlink/codec/wire.ts'

const hex = (codec: Codec<unknown>, value: unknown) => Buffer.from(codec.encode(value)).toString('hex')

describe('numbers', () => {
  test.each([
    [u8, 0xfe, 'fe'],
    [u16, 0x1234, '3412'],
    [u32, 0xdeadbeef, 'efbeadde'],
    [s16, -2, 'feff'],
    [s32, -95, 'a1ffffff'],
    [be16, 8080, '1f90'],
    [be32, 0x0a000001, '0a000001'],
    [u64, 0x1122334455667788n, '8877665544332211'],
    [be64, 0x1122334455667788n, '1122334455667788'],
  ] as const)('$kind has its byte order in its name', (codec, value, wire) => {
    expect(hex(codec as Codec<unknown>, value)).toBe(wire)
    expect(codec.decode(Buffer.from(wire, 'hex'))).toBe(value)
  })

  test.each([
    [u8, -1],
    [u8, 256],
    [u16, 65536],
    [u32, 2 ** 32],
    [u32, -1],
    [s32, 2 ** 31],
    [s32, -(2 ** 31) - 1],
    [s16, 32768],
    [be16, 1.5],
    [be32, Number.NaN],
    [u32, Number.POSITIVE_INFINITY],
  ] as const)('$kind refuses a number out of its range', (codec, value) => {
    expect(() => codec.encode(value)).toThrow(RangeError)
  })

  test.each([
    [u64, 2n ** 64n],
    [u64, -1n],
    [be64, 2n ** 64n],
  ] as const)('$kind refuses a bigint out of its range', (codec, value) => {
    expect(() => codec.encode(value)).toThrow(RangeError)
  })

  test('no number is taken from text or the other way round', () => {
    expect(() => u32.encode('1' as never)).toThrow(RangeError)
    expect(() => u64.encode(1 as never)).toThrow(RangeError)
  })

  test.each([u8, u16, u32, s16, s32, be16, be32])('$kind takes any number of its range back', (codec) => {
    const bits = 8 * codec.size
    const range = codec.kind.startsWith('s')
      ? { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 }
      : { min: 0, max: 2 ** bits - 1 }
    fc.assert(
      fc.property(fc.maxSafeInteger(), (seed) => {
        const span = range.max - range.min + 1
        const value = range.min + (Math.abs(seed) % span)
        expect(codec.decode(codec.encode(value))).toBe(value)
      }),
    )
  })

  test.each([u8, u16, u32, s32, be16, be32, u64, be64, mac, ipv4, ipv6, flag, bytes(3)])(
    '$kind refuses every other length',
    (codec: Codec<unknown>) => {
      const size = 'size' in codec ? (codec.size as number) : 0
      for (let length = 0; length < 20; length++) {
        if (length === size) continue
        expect(() => codec.decode(new Uint8Array(length))).toThrow(
          `Cannot decode ${codec.kind}: need ${size} bytes, got ${length}`,
        )
      }
    },
  )

  test('a number is read where it lies, not from the beginning', () => {
    expect(be16.read(Uint8Array.of(1, 2, 3, 4), 1, 3)).toBe(0x0203)
  })
})

describe('cstr()', () => {
  const name = cstr(16)
  test('is written with its ending zero and read with and without', () => {
    expect(hex(name, 'net1')).toBe('6e65743100')
    expect(name.decode(Buffer.from('net1\0'))).toBe('net1')
    expect(name.decode(Buffer.from('net1'))).toBe('net1')
    expect(name.decode(new Uint8Array())).toBe('')
  })

  test.each(['a\0b', 'a\0\0', '\0a'])('refuses bytes behind a zero: %j', (text) => {
    expect(() => name.decode(Buffer.from(text))).toThrow('bytes follow its zero byte')
  })

  test('counts bytes, its zero among them', () => {
    expect(name.decode(name.encode('fifteen-bytes-x'))).toBe('fifteen-bytes-x')
    expect(() => name.encode('sixteen-bytes-xx')).toThrow('need at most 15 bytes, got 16')
    expect(() => name.encode('ääääääää')).toThrow('need at most 15 bytes, got 16')
    expect(() => name.decode(Buffer.from('sixteen-bytes-xx'))).toThrow(RangeError)
    expect(() => name.encode('a\0b')).toThrow('zero byte')
  })

  test('any bytes without zero are a string that encodes to them', () => {
    const long = cstr(1000)
    fc.assert(
      fc.property(fc.uint8Array({ min: 1, maxLength: 40 }), (any) => {
        expect([...long.encode(long.decode(any))]).toEqual([...any, 0])
      }),
    )
  })

  test('any text without zero and lone surrogates comes back', () => {
    const long = cstr(10000)
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0')),
        (text) => {
          expect(long.decode(long.encode(text))).toBe(text)
        },
      ),
    )
    expect(() => long.encode('\ud800')).toThrow('lone surrogate')
    expect(() => long.encode('ä\udc80')).toThrow(RangeError)
  })
})

describe('addresses', () => {
  test.each([
    [mac, '02:00:5e:10:00:0f', '02005e10000f'],
    [lladdr, '02:00:5e:10:00:0f', '02005e10000f'],
    [lladdr, '0a:00:00:01', '0a000001'],
    [lladdr, '', ''],
    [ipv4, '10.0.0.1', '0a000001'],
    [ipv6, 'fd00::1', 'fd000000000000000000000000000001'],
    [ip, '10.0.0.1', '0a000001'],
    [ip, '::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
  ])('$kind', (codec, value, wire) => {
    expect(hex(codec as Codec<unknown>, value)).toBe(wire)
    expect(codec.decode(Buffer.from(wire, 'hex'))).toBe(value)
  })

  test.each([
    [mac, '02:00:5e:10:00'],
    [mac, '02:00:5e:10:00:0f:01'],
    [mac, '02-00-5e-10-00-0f'],
    [mac, '02:00:5e:10:00:0'],
    [mac, '02:00:5e:10:00:0f:'],
    [mac, '02:00:5e:10:00:gg'],
    [mac, ''],
    [lladdr, ':'],
    [lladdr, '0a:'],
    [lladdr, '0a0'],
    [lladdr, 'a'],
    [ipv4, 'fd00::1'],
    [ipv4, '10.0.0.1/24'],
    [ipv6, '10.0.0.1'],
    [ip, 'localhost'],
    [ip, ''],
  ])('%s refuses %j', (codec, value) => {
    expect(() => codec.encode(value)).toThrow(RangeError)
  })

  test('an address of neither family is refused', () => {
    for (const length of [0, 3, 5, 8, 15, 17])
      expect(() => ip.decode(new Uint8Array(length))).toThrow(RangeError)
  })
})

test('Value is the type of what a codec decodes', () => {
  expectTypeOf<Value<typeof u32>>().toEqualTypeOf<number>()
  expectTypeOf<Value<typeof u64>>().toEqualTypeOf<bigint>()
  expectTypeOf<Value<typeof ip>>().toEqualTypeOf<string>()
})
