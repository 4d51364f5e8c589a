// Values reach the driver of the lab, and come back from it, as they were.
import { expect, test } from 'vitest'
import { pack, unpack } from '../../hack/lab/driver/json.ts'

test.each([
  ['bytes', { mac: Uint8Array.of(0, 255) }],
  ['a bigint', [12n]],
  ['a map', new Map([['key', [1n]]])],
  ['null', [null]],
  ['text', 'undefined'],
])('%s comes back as it was', (_, value) => {
  expect(unpack(pack(value))).toStrictEqual(value)
})

test('undefined in a list does not become null', () => {
  const list = unpack(pack([4, undefined, ''])) as unknown[]
  expect(list).toHaveLength(3)
  expect(list[1]).toBeUndefined()
})

test('a property that is undefined is left out', () => {
  expect(unpack(pack({ a: 1, b: undefined }))).toStrictEqual({ a: 1 })
})
