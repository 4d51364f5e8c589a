// Errors have unique codes and take the form of the specification.
import { expect, test } from 'vitest'
import { CniError, code, meaning } from '../../src/cni/error.ts'

test('codes are unique, ours start at 100, and each has a meaning', () => {
  const values = Object.values(code)
  expect(new Set(values).size).toBe(values.length)
  expect(Object.keys(meaning)).toEqual(Object.keys(code))
  const reservedByTheSpecification = [1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51]
  expect(values.filter((value) => value < 100)).toEqual(reservedByTheSpecification)
})

test('toObject has the four members of the specification, details only if there are any', () => {
  expect(new CniError(7, 'Cannot use vlan 4095: must be 0-4094').toObject('1.0.0')).toEqual({
    cniVersion: '1.0.0',
    code: 7,
    msg: 'Cannot use vlan 4095: must be 0-4094',
  })
  expect(new CniError(7, 'x', { details: 'why' }).toObject('0.4.0')).toHaveProperty('details', 'why')
  expect(new CniError(7, 'x', { details: '' }).toObject('0.4.0')).not.toHaveProperty('details')
})

test('toObject says a version back, and of what is none and long the beginning only', () => {
  expect(new CniError(1, 'x').toObject('4.3.2')).toHaveProperty('cniVersion', '4.3.2')
  expect(new CniError(1, 'x').toObject('1'.repeat(100_000))).toHaveProperty('cniVersion', '1'.repeat(64))
})

test('from keeps a CniError and makes code 199 of everything else', () => {
  const error = new CniError(11, 'busy')
  expect(CniError.from(error)).toBe(error)
  const cause = new TypeError('x is undefined')
  expect(CniError.from(cause)).toMatchObject({ code: 199, message: 'Internal error: x is undefined', cause })
  const untextable = {
    toString: () => {
      throw new Error('no')
    },
  }
  for (const thrown of [
    undefined,
    null,
    7,
    'text',
    Symbol('s'),
    {},
    untextable,
    Object.create(null),
    new Error(''),
  ]) {
    expect(CniError.from(thrown).code).toBe(199)
    expect(CniError.from(thrown).message).toMatch(/^Internal error: ./)
  }
})

test('a message of many megabytes is cut', () => {
  const { message, details } = new CniError(7, 'x'.repeat(1 << 20), { details: 'y'.repeat(1 << 20) })
  expect([message.length, details?.length]).toEqual([16_004, 16_004])
})
