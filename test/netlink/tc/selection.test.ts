// The keys of a u32 selector stand behind its struct, which counts them.
import { expect, test } from 'vitest'
import { struct } from '../../../src/netlink/codec/struct.ts'
import { bytes, u8 } from '../../../src/netlink/codec/wire.ts'
import { selection } from '../../../src/netlink/tc/selection.ts'

const head = struct('sel', [
  ['flags', u8],
  ['nkeys', u8],
  ['_pad', bytes(2)],
])
const key = struct('key', [
  ['mask', u8],
  ['val', u8],
])
const codec = selection(head, key)
const value = {
  flags: 5,
  keys: [
    { mask: 1, val: 2 },
    { mask: 3, val: 4 },
  ],
}
const wire = Uint8Array.of(5, 2, 0, 0, 1, 2, 3, 4)

test('the keys stand behind the struct, which counts them', () => {
  expect(codec.encode(value)).toEqual(wire)
  expect(codec.decode(wire)).toEqual(value)
  expect(codec.decode(Uint8Array.of(5, 0, 0, 0))).toEqual({ flags: 5, keys: [] })
})

test.each([
  ['a key too few', wire.subarray(0, 6), 'Cannot decode sel: 2 keys in 2 bytes'],
  ['half a key', wire.subarray(0, 7), 'Cannot decode sel: 2 keys in 3 bytes'],
  ['a byte too many', Uint8Array.of(...wire, 0), 'Cannot decode sel: 2 keys in 5 bytes'],
  ['half a struct', wire.subarray(0, 3), 'Cannot decode sel: need 4 bytes, got 3'],
])('%s is no such struct', (_, given, words) => {
  expect(() => codec.decode(given)).toThrow(new RangeError(words))
})
