// Addresses and prefixes are read as strictly as the kernel and Node read them.
import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareIp,
  contains,
  formatCidr,
  ipFamily,
  ipFromBytes,
  ipToBytes,
  networkOf,
  overlaps,
  parseCidr,
  parseIp,
  parseIpv4,
  parseIpv6,
  tryParseCidr,
  tryParseIp,
} from '../../src/lib/ip.ts'

const rejectsV4 = [
  ...[
    '',
    '1',
    '1.2',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    '1.2.3.4.',
    '1.2.3.256',
    '1.2.3.999',
  ],
  ...[
    '01.2.3.4',
    '1.2.3.04',
    '1.2.3.00',
    '0x10.1.1.1',
    '1.2.3.0x4',
    '1.2.3.-4',
    '1.2.3.+4',
    '1.2.3.1e1',
    '1.2.3.4444',
  ],
  ...[
    ' 1.2.3.4',
    '1.2.3.4 ',
    '1.2.3. 4',
    '1.2.3.4\n',
    '1.2.3.٤',
    '16909060',
    '1.2.772',
    'a.b.c.d',
    '1.2.3.4/24',
    '1,2,3,4',
  ],
]
const rejectsV6 = [
  ...[
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1::2::3',
    '1:::2',
  ],
  ...[
    ':1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:',
    ':1::2',
    '1::2:',
    'g::',
    '12345::',
    '::00001',
    '::-1',
    '::0x1',
    '::+1',
    ':: 1',
    ' ::1',
    '::1 ',
  ],
  ...[
    'fe80::1%eth0',
    'fe80::1%1',
    '::1/64',
    '[::1]',
    '::1.2.3',
    '::1.2.3.4.5',
    '::1.2.3.256',
    '::01.2.3.4',
    '1.2.3.4::',
    '::1.2.3.4:5',
  ],
  ...['1:2:3:4:5:6:7:1.2.3.4', '::ffff:1.2.3.4:0', '1.2.3.4', ''],
]

describe('parseIpv4()', () => {
  test.each(['0.0.0.0', '1.2.3.4', '10.0.0.1', '192.168.100.200', '255.255.255.255'])('reads %s', (text) => {
    expect(parseIpv4(text)).toBe(text)
  })

  test.each(rejectsV4)('refuses %j', (text) => {
    expect(() => parseIpv4(text)).toThrow(RangeError)
    expect(tryParseIp(text)).toBeUndefined()
  })

  test('agrees with Node on any four numbers', () => {
    const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', '1 ', 'a', '-1'))
    fc.assert(
      fc.property(fc.array(part, { minLength: 3, maxLength: 5 }), (parts) => {
        const text = parts.join('.')
        expect(tryParseIp(text) !== undefined).toBe(isIPv4(text))
      }),
    )
  })
})

describe('parseIpv6()', () => {
  test.each([
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:0:0:0::A', 'fd00::a'],
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:0:1:0:0:0', '2001:db8:0:0:1::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['::FFFF:0a00:0001', '::ffff:10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['::1.2.3.4', '::102:304'],
    ['fe80::1', 'fe80::1'],
  ])('reads %s', (text, canonical) => {
    expect(parseIpv6(text)).toBe(canonical)
    expect(parseIp(canonical)).toBe(canonical)
  })

  test.each(rejectsV6)('refuses %j', (text) => {
    expect(() => parseIpv6(text)).toThrow(RangeError)
  })

  test('agrees with Node on any groups', () => {
    const part = fc.oneof(
      fc.nat(0xffff).map((value) => value.toString(16)),
      fc.constantFrom('', '', '0', '00000', 'g', '1.2.3.4'),
    )
    fc.assert(
      fc.property(fc.array(part, { minLength: 2, maxLength: 9 }), (parts) => {
        const text = parts.join(':')
        expect(tryParseIp(text) !== undefined).toBe(isIPv6(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('makes of any sixteen bytes a text that Node takes and that means the same', () => {
    const sparse = fc
      .uint8Array({ minLength: 16, maxLength: 16 })
      .chain((bytes) =>
        fc
          .uint8Array({ minLength: 16, maxLength: 16, max: 1 })
          .map((keep) => bytes.map((byte, i) => byte * (keep[i] as number))),
      )
    fc.assert(
      fc.property(sparse, (bytes) => {
        const text = ipFromBytes(bytes)
        expect(isIPv6(text)).toBe(true)
        expect(ipToBytes(text)).toEqual(bytes)
        // RFC 5952 by a second implementation: the serializer of URL hosts (which has no IPv4-mapped form).
        if (!text.includes('.')) expect(`[${text}]`).toBe(new URL(`http://[${text}]/`).hostname)
      }),
    )
  })
})

describe('parseCidr()', () => {
  test.each(['0.0.0.0/0', '10.1.0.5/24', '10.1.0.5/32', '::/0', 'fd00::5/64', 'fd00::5/128'])(
    'reads %s',
    (text) => {
      expect(formatCidr(parseCidr(text))).toBe(text)
    },
  )

  test.each([
    ...[
      '10.0.0.1',
      '10.0.0.1/',
      '/24',
      '10.0.0.1/33',
      '10.0.0.1/-1',
      '10.0.0.1/024',
      '10.0.0.1/24/24',
      '10.0.0.1/255.255.255.0',
    ],
    ...[
      '::1/129',
      '::1/',
      '10.0.0.1/1e1',
      '10.0.0.1 /24',
      '10.0.0.1/ 24',
      '10.0.0.1/24 ',
      '10.0/16',
      '10.0.0.1/1000',
      '',
    ],
  ])('refuses %j', (text) => {
    expect(tryParseCidr(text)).toBeUndefined()
    expect(() => parseCidr(text)).toThrow(RangeError)
  })
})

describe('networkOf(), contains(), overlaps()', () => {
  test.each([
    ['10.1.2.3/24', '10.1.2.0/24'],
    ['10.1.255.3/20', '10.1.240.0/20'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['10.1.2.3/0', '0.0.0.0/0'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['fd00:1:2:3:4::5/63', 'fd00:1:2:2::/63'],
  ])('the network of %s is %s', (text, network) => {
    expect(formatCidr(networkOf(parseCidr(text)))).toBe(network)
  })

  test.each([
    ['10.1.2.3/24', '10.1.2.255', true],
    ['10.1.2.3/24', '10.1.3.0', false],
    ['0.0.0.0/0', '255.1.1.1', true],
    ['::/0', '10.0.0.1', false],
    ['0.0.0.0/0', '::ffff:10.0.0.1', false],
    ['fd00::/8', 'fdff::1', true],
    ['fd00::/8', 'fe80::1', false],
  ])('%s contains %s: %s', (cidr, ip, expected) => {
    expect(contains(parseCidr(cidr), parseIp(ip))).toBe(expected)
  })

  test.each([
    ['10.1.0.0/16', '10.1.2.3/24', true],
    ['10.1.2.0/24', '10.1.2.9/32', true],
    ['10.1.2.3/24', '10.1.2.4/24', true],
    ['10.1.2.0/24', '10.1.3.0/24', false],
    ['0.0.0.0/0', 'fd00::/8', false],
    ['fd00::/8', 'fd00:1::/64', true],
  ])('%s overlaps %s, and the other way round: %s', (one, other, expected) => {
    expect(overlaps(parseCidr(one), parseCidr(other))).toBe(expected)
    expect(overlaps(parseCidr(other), parseCidr(one))).toBe(expected)
  })
})

describe('compareIp(), ipFamily()', () => {
  test('sorts by family, then by number', () => {
    const sorted = ['2.0.0.0', '10.0.0.1', '10.0.0.2', '100.0.0.0', '::1', '::ffff:1.2.3.4', 'fd00::1']
    expect(sorted.map(parseIp).reverse().sort(compareIp)).toEqual(sorted)
    expect(compareIp(parseIp('10.0.0.1'), parseIp('10.0.0.1'))).toBe(0)
  })

  test('IPv4-mapped addresses are IPv6', () => {
    expect(ipFamily(parseIp('::ffff:1.2.3.4'))).toBe(6)
    expect(ipFamily(parseIp('1.2.3.4'))).toBe(4)
  })
})
