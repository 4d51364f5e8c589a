// The sysfs of a bus, laid out by hand: that a function changes hands is for the lab to see.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { rebindDriver, resetFunction } from '../../../src/kernel/link/driver-rebind.ts'

const pci = '0000:3b:02.3'
let bus: string
beforeEach(() => {
  bus = mkdtempSync(join(tmpdir(), 'bus-'))
  mkdirSync(join(bus, 'devices', pci), { recursive: true })
  mkdirSync(join(bus, 'drivers/igbvf'), { recursive: true })
  for (const file of ['bind', 'unbind']) writeFileSync(join(bus, 'drivers/igbvf', file), '')
})
afterEach(() => rmSync(bus, { recursive: true }))

const boundTo = (driver: string) =>
  symlinkSync(`../../drivers/${driver}`, join(bus, 'devices', pci, 'driver'))
const written = (file: string) => readFileSync(join(bus, 'drivers/igbvf', file), 'utf8')

describe('a rebind', () => {
  test('writes the address to unbind, then to bind', () => {
    boundTo('igbvf')
    rebindDriver(pci, 'igbvf', bus)
    expect([written('unbind'), written('bind')]).toEqual([pci, pci])
  })

  test.each([[undefined], ['vfio-pci']])('binds only, where the function belongs to %s', (driver) => {
    if (driver !== undefined) boundTo(driver)
    rebindDriver(pci, 'igbvf', bus)
    expect([written('unbind'), written('bind')]).toEqual(['', pci])
  })

  test('that is refused names driver and address', () => {
    rmSync(join(bus, 'drivers/igbvf/bind'))
    mkdirSync(join(bus, 'drivers/igbvf/bind'))
    expect(() => rebindDriver(pci, 'igbvf', bus)).toThrow(
      expect.objectContaining({
        message: 'Cannot bind "0000:3b:02.3" to driver "igbvf": EISDIR',
        code: 'EISDIR',
      }),
    )
    boundTo('igbvf')
    rmSync(join(bus, 'drivers/igbvf/unbind'))
    mkdirSync(join(bus, 'drivers/igbvf/unbind'))
    expect(() => rebindDriver(pci, 'igbvf', bus)).toThrow(
      'Cannot unbind "0000:3b:02.3" from driver "igbvf": EISDIR',
    )
  })

  test('that somebody else has finished meanwhile is done', () => {
    rmSync(join(bus, 'drivers/igbvf/bind'))
    boundTo('igbvf')
    expect(() => rebindDriver(pci, 'igbvf', bus)).not.toThrow()
  })

  test.each([
    ['../../devices', pci],
    ['..', pci],
    ['', pci],
    ['a/b', pci],
    ['igbvf', '3b:02.3'],
    ['igbvf', '../x'],
  ])('never follows %j or %j anywhere', (driver, address) => {
    expect(() => rebindDriver(address, driver, bus)).toThrow('driver.rebind: EINVAL')
    expect([written('unbind'), written('bind')]).toEqual(['', ''])
  })
})

describe('a reset', () => {
  test('writes to the function, and passes a refusal on', () => {
    const file = join(bus, 'devices', pci, 'reset')
    writeFileSync(file, '')
    resetFunction(pci, bus)
    expect(readFileSync(file, 'utf8')).toBe('1')
    rmSync(file)
    mkdirSync(file)
    expect(() => resetFunction(pci, bus)).toThrow('EISDIR')
  })

  test('goes to no other place', () => {
    expect(() => resetFunction('../x', bus)).toThrow('function.reset: EINVAL')
  })
})
