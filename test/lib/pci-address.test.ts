// PCI addresses are read in the forms that users write, and become one component of a path.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePciAddress, routingId } from '../../src/lib/pci-address.ts'

describe('parsePciAddress', () => {
  test.each([
    ['0000:3b:02.1', '0000:3b:02.1'],
    ['0000:3B:1F.7', '0000:3b:1f.7'],
    ['3b:02.1', '0000:3b:02.1'],
    ['FF:1f.0', '0000:ff:1f.0'],
    ['10000:e1:00.0', '10000:e1:00.0'],
    ['ffffffff:00:00.0', 'ffffffff:00:00.0'],
  ])('%s', (text, address) => {
    expect(parsePciAddress(text)).toBe(address)
  })

  test.each([
    '',
    'eth0',
    '0000:3b:02',
    '0000:3b:02.8',
    '0000:3b:20.0',
    '0000:3b:2.0',
    '000:3b:02.1',
    '123456789:3b:02.1',
    '0000:3b:02.1 ',
    ' 0000:3b:02.1',
    '0000:3b:02.1\n',
    '0000:3b:02.1/..',
    '../0000:3b:02.1',
    '0000:3b:02.1/physfn',
    '0000-3b-02.1',
    '0000:3g:02.1',
    '3b:02',
    ':3b:02.1',
  ])('refuses %j', (text) => {
    expect(parsePciAddress(text)).toBeUndefined()
  })

  test('what it returns is one path component of the kernel’s form, whatever the text', () => {
    const near = fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF:./\n'), maxLength: 16 })
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const address = parsePciAddress(text)
        if (address === undefined) return
        expect(address).toMatch(/^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/)
        expect(address).not.toContain('\n')
        expect(parsePciAddress(address)).toBe(address)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('routingId', () => {
  test.each([
    ['0000:00:00.0', 0],
    ['0000:00:00.7', 7],
    ['0000:00:01.0', 8],
    ['0000:01:00.0', 256],
    ['0000:3b:10.2', 0x3b82],
    ['10000:ff:1f.7', 0xffff],
  ])('of %s is %d', (address, id) => {
    expect(routingId(address)).toBe(id)
  })

  test('counts functions one by one, devices by 8, buses by 256', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(31), fc.nat(7), (bus, device, fn) => {
        const hex = (value: number) => value.toString(16).padStart(2, '0')
        expect(routingId(`0000:${hex(bus)}:${hex(device)}.${fn}`)).toBe(bus * 256 + device * 8 + fn)
      }),
    )
  })

  test('refuses what is no address', () => {
    expect(() => routingId('eth0')).toThrow(RangeError)
  })
})
