// Rewrites of headers have the words and masks that tc sends.
import { describe, expect, test } from 'vitest'
import { u32 } from '../../../../src/netlink/codec/wire.ts'
import { keysEx, pedit, peditRewrite, type Rewrite } from '../../../../src/netlink/tc/actions/pedit.ts'

/** header type / offset: mask bytes, value bytes; as `tc filter show` has them, in wire order. */
const words = (rewrite: Rewrite) => {
  const { TCA_PEDIT_PARMS_EX, TCA_PEDIT_KEYS_EX } = peditRewrite(rewrite, 3)
  const hex = (value: number) => Buffer.from(u32.encode(value)).toString('hex')
  return TCA_PEDIT_PARMS_EX?.keys.map(
    ({ off, mask, val }, i) =>
      `${TCA_PEDIT_KEYS_EX?.[i]?.TCA_PEDIT_KEY_EX_HTYPE}/${off}: ${hex(mask)} ${hex(val)}`,
  )
}

describe('peditRewrite()', () => {
  test.each<[Rewrite, string[]]>([
    [{ ethDst: 'a0:a1:a2:a3:a4:a5' }, ['1/0: 00000000 a0a1a2a3', '1/4: 0000ffff a4a50000']],
    [{ ethSrc: 'b0:b1:b2:b3:b4:b5' }, ['1/4: ffff0000 0000b0b1', '1/8: 00000000 b2b3b4b5']],
    [
      { ethDst: 'a0:a1:a2:a3:a4:a5', ethSrc: 'b0:b1:b2:b3:b4:b5' },
      [
        '1/0: 00000000 a0a1a2a3',
        '1/4: 0000ffff a4a50000',
        '1/4: ffff0000 0000b0b1',
        '1/8: 00000000 b2b3b4b5',
      ],
    ],
    [{ ipSrc: '10.0.0.1' }, ['2/12: 00000000 0a000001']],
    [{ ipDst: '10.0.0.2' }, ['2/16: 00000000 0a000002']],
    [{ ttl: 64, family: 4 }, ['2/8: 00ffffff 40000000']],
    [{ ttl: 255, ipDst: '10.0.0.2' }, ['2/8: 00ffffff ff000000', '2/16: 00000000 0a000002']],
    [{ ttl: 64, family: 6 }, ['3/4: ffffff00 00000040']],
    [
      { ttl: 255, ipSrc: 'fd00:1:2:3:4:5:6:7' },
      [
        '3/4: ffffff00 000000ff',
        '3/8: 00000000 fd000001',
        '3/12: 00000000 00020003',
        '3/16: 00000000 00040005',
        '3/20: 00000000 00060007',
      ],
    ],
    [
      { ipDst: '::1' },
      [
        '3/24: 00000000 00000000',
        '3/28: 00000000 00000000',
        '3/32: 00000000 00000000',
        '3/36: 00000000 00000001',
      ],
    ],
    [{ proto: 6, portSrc: 0x1234 }, ['4/0: 0000ffff 12340000']],
    [{ proto: 6, portDst: 8080 }, ['4/0: ffff0000 00001f90']],
    [{ proto: 17, portSrc: 53, portDst: 5353 }, ['5/0: 0000ffff 00350000', '5/0: ffff0000 000014e9']],
  ])('%j', (rewrite, expected) => {
    expect(words(rewrite)).toEqual(expected)
  })

  test.each<[Rewrite, string]>([
    [{}, 'nothing to rewrite'],
    [{ proto: 6 }, 'nothing to rewrite'],
    [{ portDst: 80 }, 'need proto 6 (TCP) or 17 (UDP)'],
    [{ portDst: 80, proto: 132 as never }, 'need proto 6 (TCP) or 17 (UDP)'],
    [{ portDst: 65536, proto: 6 }, 'Cannot rewrite port to 65536: must be 0-65535'],
    [{ portSrc: -1, proto: 6 }, 'must be 0-65535'],
    [{ ttl: 64 }, 'need the family'],
    [{ ttl: 256, family: 4 }, 'Cannot rewrite ttl to 256: must be 0-255'],
    [{ ipSrc: '10.0.0.1', ipDst: 'fd00::1' }, 'both IPv4 and IPv6'],
    [{ ipSrc: '10.0.0.1', family: 6 }, 'both IPv4 and IPv6'],
    [{ ipSrc: '10.0.0' }, 'Cannot parse IP address'],
    [{ ethDst: '02:00' }, 'Cannot parse MAC address'],
  ])('refuses %j', (rewrite, message) => {
    expect(() => peditRewrite(rewrite, 3)).toThrow(RangeError)
    expect(() => peditRewrite(rewrite, 3)).toThrow(message)
  })

  test('masks of one word do not overlap, so that drivers take both keys', () => {
    const rewrite: Rewrite = {
      ethDst: 'ff:ff:ff:ff:ff:ff',
      ethSrc: 'ff:ff:ff:ff:ff:ff',
      proto: 6,
      portSrc: 0xffff,
      portDst: 0xffff,
    }
    const { TCA_PEDIT_PARMS_EX: parms, TCA_PEDIT_KEYS_EX: kinds } = peditRewrite(rewrite, 3)
    const written = new Map<string, number>()
    parms?.keys.forEach(({ off, mask, val }, i) => {
      const place = `${kinds?.[i]?.TCA_PEDIT_KEY_EX_HTYPE}/${off}`
      const bits = ~mask >>> 0
      expect(((written.get(place) ?? 0) & bits) >>> 0).toBe(0)
      expect((val & mask) >>> 0).toBe(0)
      written.set(place, ((written.get(place) ?? 0) | bits) >>> 0)
    })
    expect([...written.values()]).toEqual([0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff])
  })
})

describe('struct tc_pedit_sel', () => {
  const value = peditRewrite({ ipDst: '10.0.0.1' }, 3)

  test('counts its keys', () => {
    const bytes = pedit.encode(value)
    expect(bytes[4 + 20]).toBe(1)
    expect(pedit.decode(bytes)).toEqual(value)
  })

  test.each([0, 2, 255])('a count of %i keys over one key is refused', (count) => {
    const bytes = pedit.encode(value)
    bytes[4 + 20] = count
    expect(() => pedit.decode(bytes)).toThrow(
      `Cannot decode TCA_PEDIT_PARMS_EX > tc_pedit_sel: ${count} keys in 24 bytes`,
    )
  })

  test('KEYS_EX takes nothing but KEY_EX', () => {
    expect(() => keysEx.decode(Uint8Array.of(4, 0, 5, 0))).toThrow('attribute 5 in a list of 6')
  })
})
