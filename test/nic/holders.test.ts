// sysfs, device nodes and procfs laid out by hand. That the kernel shows a program so: test/lab/attach/open.test.ts.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type PciAddress, parsePciAddress } from '../../src/lib/pci-address.ts'
import { holdingOf, type Places } from '../../src/nic/holders.ts'
import { readPciFunction } from '../../src/nic/pci.ts'

const address = parsePciAddress('0000:3b:02.3') as PciAddress
let top: string
let places: Places
/** The function's folder in sysfs. */
let folder: string

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'holders-'))
  places = { devices: join(top, 'devices'), nodes: join(top, 'dev'), proc: join(top, 'proc') }
  folder = join(places.devices, address)
  mkdirSync(folder, { recursive: true })
})
afterEach(() => rmSync(top, { recursive: true }))

function bound(driver: string, enable: number, child: string): void {
  symlinkSync(`../../drivers/${driver}`, join(folder, 'driver'))
  symlinkSync('../../iommu_groups/7', join(folder, 'iommu_group'))
  writeFileSync(join(folder, 'enable'), `${enable}\n`)
  mkdirSync(join(folder, child), { recursive: true })
}

/** A process that has these files open and mapped. */
function process(pid: number, open: readonly string[], mapped: readonly string[] = []): void {
  const own = join(places.proc, String(pid))
  mkdirSync(join(own, 'fd'), { recursive: true })
  for (const [fd, path] of open.entries()) symlinkSync(path, join(own, 'fd', String(fd)))
  writeFileSync(join(own, 'comm'), `program-${pid}\n`)
  writeFileSync(
    join(own, 'maps'),
    mapped
      .map((path) => `7f0000000000-7f0000001000 rw-s 00000000 00:13 4711                 ${path}\n`)
      .join(''),
  )
}

const found = () => {
  const pci = readPciFunction(address, places.devices)
  return pci === undefined ? undefined : holdingOf(pci, places)
}

describe('a function on vfio', () => {
  test('that is enabled is open, by who has its group or its device', () => {
    bound('vfio-pci', 1, 'vfio-dev/vfio3')
    process(11, ['/dev/null', '/dev/vfio/77', '/dev/vfio/vfio', '/dev/vfio/devices/vfio33'])
    process(12, ['pipe:[3]', '/dev/vfio/7'])
    expect(found()).toEqual({ sign: 'its device is enabled', process: { pid: 12, comm: 'program-12' } })
    rmSync(join(places.proc, '12'), { recursive: true })
    process(13, ['/dev/vfio/devices/vfio3'])
    expect(found()?.process?.pid).toBe(13)
  })

  test('is open also when no process is seen to have it', () => {
    bound('vfio-pci', 1, 'vfio-dev/vfio3')
    expect(found()).toEqual({ sign: 'its device is enabled', process: undefined })
  })

  test('that is not enabled is closed, and nothing of the processes is looked at', () => {
    bound('vfio-pci', 0, 'vfio-dev/vfio3')
    process(12, ['/dev/vfio/7'])
    expect(found()).toBeUndefined()
  })

  test('that can be opened without its group is open when a process has it so, not yet enabled', () => {
    bound('vfio-pci', 0, 'vfio-dev/vfio3')
    process(12, ['/dev/vfio/devices/vfio3'])
    expect(found()).toBeUndefined()
    mkdirSync(join(places.nodes, 'vfio/devices/vfio3'), { recursive: true })
    expect(found()).toEqual({
      ...{ sign: '/dev/vfio/devices/vfio3 is open', process: { pid: 12, comm: 'program-12' } },
    })
    rmSync(join(places.proc, '12'), { recursive: true })
    process(13, ['/dev/vfio/devices/vfio4'])
    expect(found()).toBeUndefined()
  })

  test('of another driver is known by its vfio device', () => {
    bound('mlx5_vfio_pci', 1, 'vfio-dev/vfio3')
    expect(found()).toBeDefined()
  })
})

describe('a function on UIO, which is always enabled', () => {
  beforeEach(() => bound('uio_pci_generic', 1, 'uio/uio2'))

  test.each<[string, string[], string[]]>([
    ['its UIO device is open', ['/dev/uio2'], []],
    ['its UIO device is mapped', [], ['/dev/uio2']],
    ['a BAR is open', [`/sys/devices/pci0000:3a/${address}/resource0`], []],
    ['a BAR is mapped, by another way into sysfs', [], [`/devices/pci0000:3a/${address}/resource2_wc`]],
  ])('is open when %s', (_, open, mapped) => {
    process(5, ['/dev/null'])
    process(21, open, mapped)
    expect(found()?.process).toEqual({ pid: 21, comm: 'program-21' })
  })

  test('is closed otherwise', () => {
    process(21, ['/dev/uio22', '/dev/uio', `/sys/devices/pci0000:3a/${address}/config`], ['/usr/lib/libc.so'])
    expect(found()).toBeUndefined()
  })
})

test('a function of a driver in the kernel is never open', () => {
  bound('igbvf', 1, 'net/eth0')
  process(12, ['/dev/vfio/7'])
  expect(found()).toBeUndefined()
})
