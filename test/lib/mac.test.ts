// MAC addresses are read in the forms that tools print, and no other text is one.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  isInfiniband,
  isMulticast,
  isSameAddress,
  isZero,
  macFromBytes,
  macToBytes,
  parseMac,
  tryParseMac,
} from '../../src/lib/mac.ts'

const rejects = [
  '',
  '02:00:00:00:00',
  '02:00:00:00:00:01:02',
  '02:00:00:00:00:00:00:01',
  '02:00:00:00:00:1',
  '2:0:0:0:0:1',
  '02:00:00:00:00:0g',
  '02:00:00-00:00:01',
  '02-00:00:00:00:01',
  '020000000001',
  '0200.0000.000',
  '0200.0000.00011',
  '0200:0000:0001',
  '02.00.00.00.00.01',
  ' 02:00:00:00:00:01',
  '02:00:00:00:00:01 ',
  '02:00:00:00:00:01\n',
  '02:00:00:00:00:+1',
  '02:00:00:00:00:０1',
  '::1',
  '::::::::::::::::::',
  '..............',
]

describe('parseMac()', () => {
  test.each([
    ['02:00:5e:10:00:0f', '02:00:5e:10:00:0f'],
    ['02:00:5E:10:00:0F', '02:00:5e:10:00:0f'],
    ['02-00-5E-10-00-0f', '02:00:5e:10:00:0f'],
    ['0200.5E10.000f', '02:00:5e:10:00:0f'],
    ['ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff'],
  ])('reads %s', (text, canonical) => {
    expect(parseMac(text)).toBe(canonical)
  })

  test.each(rejects)('refuses %j', (text) => {
    expect(tryParseMac(text)).toBeUndefined()
    expect(() => parseMac(text)).toThrow(RangeError)
  })

  test('names the text that it refuses', () => {
    expect(() => parseMac('nonsense')).toThrow(
      'Cannot parse MAC address "nonsense": need 6 octets as in aa:bb:cc:dd:ee:ff',
    )
  })

  test('takes back what macFromBytes() makes of any six octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
        expect(macToBytes(parseMac(macFromBytes(bytes)))).toEqual(bytes)
      }),
    )
  })
})

describe('macFromBytes()', () => {
  test.each([0, 5, 7, 8, 20])('refuses %i octets', (length) => {
    expect(() => macFromBytes(new Uint8Array(length))).toThrow(RangeError)
  })
})

describe('isMulticast(), isZero()', () => {
  test.each([
    ['ff:ff:ff:ff:ff:ff', true],
    ['01:00:5e:00:00:01', true],
    ['33:33:00:00:00:01', true],
    ['02:00:00:00:00:01', false],
    ['fe:00:00:00:00:01', false],
    ['00:00:00:00:00:00', false],
  ])('%s is a group address: %s', (text, expected) => {
    expect(isMulticast(parseMac(text))).toBe(expected)
  })

  test('only zeros are zero', () => {
    expect(isZero(parseMac('00-00-00-00-00-00'))).toBe(true)
    expect(isZero(parseMac('00:00:00:00:00:01'))).toBe(false)
  })
})

test('an address of IPoIB is the same one whatever the number of its queue pair is', () => {
  const port = 'fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:00:01'
  const [one, other] = [`80:00:02:08:${port}`, `80:00:00:4a:${port}`]
  expect([isInfiniband(one), isInfiniband('02:00:00:00:00:01')]).toEqual([true, false])
  expect(isSameAddress(one, other)).toBe(true)
  expect(isSameAddress(one, `${other.slice(0, -1)}2`)).toBe(false)
  expect(isSameAddress('02:00:00:00:00:01', '02:01:00:00:00:01')).toBe(false)
  expect(isSameAddress(one, undefined)).toBe(false)
})
