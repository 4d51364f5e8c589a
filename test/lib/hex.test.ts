// Bytes become hexadecimal digits and come back.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromHex, toHex } from '../../src/lib/hex.ts'

test('agree with Buffer, both ways', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = Buffer.from(bytes).toString('hex')
      expect(toHex(bytes)).toBe(text)
      expect(fromHex(text)).toEqual(bytes)
      expect(fromHex(text.toUpperCase())).toEqual(bytes)
    }),
  )
})

test.each(['7', '766', '7x', 'x7', ' 7', '0x76', '76 0'])('%j is refused', (text) => {
  expect(() => fromHex(text)).toThrow(RangeError)
})
