// Runs on a sysfs made of plain files. The lab shows that a driver really takes the function.
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

  test('that the kernel refuses names driver and address', () => {
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

  test('that another process finishes meanwhile succeeds', () => {
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
  ])('refuses the driver %j with the address %j, and writes nothing', (driver, address) => {
    expect(() => rebindDriver(address, driver, bus)).toThrow('driver.rebind: EINVAL')
    expect([written('unbind'), written('bind')]).toEqual(['', ''])
  })
})

describe('a reset', () => {
  test('writes to the function, and throws the kernel’s refusal', () => {
    const file = join(bus, 'devices', pci, 'reset')
    writeFileSync(file, '')
    resetFunction(pci, bus)
    expect(readFileSync(file, 'utf8')).toBe('1')
    rmSync(file)
    mkdirSync(file)
    expect(() => resetFunction(pci, bus)).toThrow('EISDIR')
  })

  test('refuses a text that is no PCI address', () => {
    expect(() => resetFunction('../x', bus)).toThrow('function.reset: EINVAL')
  })
})
