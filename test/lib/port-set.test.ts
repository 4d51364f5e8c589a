// A set of ports is read from the kernel's text and printed as the kernel prints it.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatPortSet, parsePortSet } from '../../src/lib/port-set.ts'

test.each([
  ['', []],
  ['80', [80]],
  ['80,8080-8083,65535', [80, 8080, 8081, 8082, 8083, 65_535]],
  ['1-2', [1, 2]],
])('"%s" there and back', (text, ports) => {
  expect([...parsePortSet(text)]).toEqual(ports)
  expect(formatPortSet(ports)).toBe(text)
})

test('what is no port counts for nothing, and a range ends where ports do', () => {
  expect([...parsePortSet('x,80,-3,9-,65534-99999\n')]).toEqual([80, 65_534, 65_535])
})

test('any ports, in any order and as often', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 65_535 })), (ports) => {
      expect(parsePortSet(formatPortSet(ports))).toEqual(new Set(ports.toSorted((a, b) => a - b)))
    }),
  )
})
