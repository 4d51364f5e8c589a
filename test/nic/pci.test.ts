// PCI functions, their VFs and their drivers are read from sysfs.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type PciAddress, parsePciAddress } from '../../src/lib/pci-address.ts'
import {
  deviceOfKernelPath,
  isVdpaOf,
  pciAddressOf,
  pciOfKernelPath,
  portsOf,
  rdmaDevicesOf,
  readAuxDevice,
  readPciFunction,
  vfsOf,
} from '../../src/nic/pci.ts'

let top: string
/** A folder like /sys/bus/pci/devices. */
let devices: string

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'sysfs-'))
  devices = join(top, 'bus/pci/devices')
  mkdirSync(devices, { recursive: true })
})
afterEach(() => rmSync(top, { recursive: true }))

const pf = address('0000:3b:00.0')
function address(text: string): PciAddress {
  const parsed = parsePciAddress(text)
  if (parsed === undefined) throw new TypeError(text)
  return parsed
}

function addFunction(
  name: string,
  { driver, netdevs }: { driver?: string; netdevs?: string[] } = {},
): string {
  const folder = join(devices, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'vendor'), '0x8086\n')
  if (driver !== undefined) symlinkSync(`../../../bus/pci/drivers/${driver}`, join(folder, 'driver'))
  for (const netdev of netdevs ?? []) mkdirSync(join(folder, 'net', netdev), { recursive: true })
  return folder
}

/** A PF whose capability says `offset` and `stride`, and its VFs where the capability puts them (or where told). */
function addPf(vfs: readonly string[], offset?: number, stride?: number): void {
  const folder = addFunction(pf, { driver: 'igb', netdevs: ['pf0'] })
  if (offset !== undefined) writeFileSync(join(folder, 'sriov_offset'), `${offset}\n`)
  if (stride !== undefined) writeFileSync(join(folder, 'sriov_stride'), `${stride}\n`)
  for (const [index, vf] of vfs.entries()) {
    symlinkSync(`../${vf}`, join(folder, `virtfn${index}`))
    symlinkSync(`../${pf}`, join(addFunction(vf, { driver: 'igbvf', netdevs: [`pf0v${index}`] }), 'physfn'))
  }
}

const read = (name: string) => readPciFunction(address(name), devices)

describe('a function', () => {
  test('that does not exist', () => {
    expect(read('0000:3b:00.0')).toBeUndefined()
    expect(readPciFunction(pf, join(top, 'nowhere'))).toBeUndefined()
  })

  test('without driver', () => {
    addFunction(pf)
    expect(read(pf)).toEqual({
      ...{ address: pf, driver: undefined, userspace: false, netdevs: [], parents: [pf], vf: undefined },
    })
  })

  test('with driver and interface', () => {
    addFunction(pf, { driver: 'e1000e', netdevs: ['eno1'] })
    expect(read(pf)).toMatchObject({ driver: 'e1000e', userspace: false, netdevs: ['eno1'], vf: undefined })
  })

  test.each([
    ['vfio-pci', true],
    ['uio_pci_generic', true],
    ['igb_uio', true],
    ['mlx5_core', false],
  ])('driver %s belongs to user space: %s', (driver, userspace) => {
    addFunction(pf, { driver })
    expect(read(pf)).toMatchObject({ driver, userspace, netdevs: [] })
  })

  test.each([
    ['mlx5_vfio_pci', 'vfio-dev/vfio0', true],
    ['some_uio', 'uio/uio0', true],
    ['some_uio', 'msi_irqs', false],
  ])('driver %s with %s belongs to user space: %s', (driver, child, userspace) => {
    mkdirSync(join(addFunction(pf, { driver }), child), { recursive: true })
    expect(read(pf)).toMatchObject({ userspace })
  })

  test('with UIO beside an interface belongs to the kernel, also while the interface is in a pod', () => {
    const folder = addFunction(pf, { driver: 'bnx2x' })
    mkdirSync(join(folder, 'uio/uio0'), { recursive: true })
    mkdirSync(join(folder, 'net'))
    expect(read(pf)).toMatchObject({ userspace: false, netdevs: [] })
  })

  test('with several interfaces lists them in order', () => {
    addFunction(pf, { driver: 'mlx4_core', netdevs: ['eth3', 'eth10', 'eth1'] })
    expect(read(pf)?.netdevs).toEqual(['eth1', 'eth10', 'eth3'])
  })

  test('of virtio has its interface below a child, whose name the interface gives for its parent', () => {
    const folder = addFunction(pf, { driver: 'virtio-pci' })
    mkdirSync(join(folder, 'virtio3/net/eth0'), { recursive: true })
    mkdirSync(join(folder, 'virtio_ring/net/eth9'), { recursive: true })
    expect(read(pf)).toMatchObject({ netdevs: ['eth0'], parents: [pf, 'virtio3'] })
  })
})

describe('a VF', () => {
  const seven = ['10.0', '10.2', '10.4', '10.6', '11.0', '11.2', '11.4'].map((at) => `0000:3b:${at}`)

  test('by offset and stride (igb: 0x80 and 2)', () => {
    addPf(seven, 0x80, 2)
    expect(seven.map((vf) => read(vf)?.vf)).toEqual(seven.map((_, index) => ({ pf, index })))
    expect(read('0000:3b:10.2')).toMatchObject({ driver: 'igbvf', netdevs: ['pf0v1'] })
    expect(read(pf)?.vf).toBeUndefined()
  })

  test('by offset and stride across a bus', () => {
    addPf(['0000:3b:1f.7', '0000:3c:00.0', '0000:3c:00.1'], 0xff, 1)
    expect(read('0000:3c:00.1')?.vf).toEqual({ pf, index: 2 })
  })

  test.each<[string, number | undefined, number | undefined]>([
    ['none are told', undefined, undefined],
    ['the stride is 0, as with one VF', 0x80, 0],
    ['the stride is wrong', 0x80, 1],
    ['the offset is wrong', 0x82, 2],
    ['the offset leads below the first VF', 0x100, 2],
    ['the numbers are none', Number.NaN, Number.NaN],
  ])('by search where %s', (_, offset, stride) => {
    addPf(seven, offset, stride)
    expect(seven.map((vf) => read(vf)?.vf?.index)).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test('by search: virtfn10 is ten, not one', () => {
    const twelve = Array.from({ length: 12 }, (_, index) =>
      `0000:3b:02.${index % 8}`.replace('02', index < 8 ? '02' : '03'),
    )
    addPf(twelve)
    expect(twelve.map((vf) => read(vf)?.vf?.index)).toEqual([...twelve.keys()])
  })

  test('that its PF does not list is none: its index would be a guess', () => {
    addPf(seven, 0x80, 2)
    symlinkSync(`../${pf}`, join(addFunction('0000:3b:12.0'), 'physfn'))
    expect(read('0000:3b:12.0')).toMatchObject({ vf: undefined })
  })

  test('whose physfn leads to something strange', () => {
    symlinkSync('../pci0000:00', join(addFunction('0000:3b:12.0'), 'physfn'))
    expect(read('0000:3b:12.0')).toMatchObject({ vf: undefined })
  })
})

describe('the VFs of a PF', () => {
  test('by index, of whatever spelling', () => {
    addPf(
      Array.from(
        { length: 11 },
        (_, index) => `0000:3b:${(2 + (index >> 3)).toString().padStart(2, '0')}.${index & 7}`,
      ),
    )
    expect(vfsOf(pf, devices).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(vfsOf(pf, devices)[10]).toEqual({ index: 10, address: '0000:3b:03.2' })
  })

  test('none of a function that has none, or is none', () => {
    addFunction('0000:3b:04.0')
    expect(vfsOf(address('0000:3b:04.0'), devices)).toEqual([])
    expect(vfsOf(pf, devices)).toEqual([])
  })

  test('their number; none where a function can have none', () => {
    writeFileSync(join(addFunction(pf), 'sriov_numvfs'), '4\n')
    addFunction('0000:3b:04.0')
    expect(read(pf)?.sriovNumvfs).toBe(4)
    expect(read('0000:3b:04.0')).not.toHaveProperty('sriovNumvfs')
  })
})

describe('an auxiliary device', () => {
  const aux = () => join(top, 'bus/auxiliary/devices')

  test('with its interfaces', () => {
    mkdirSync(join(aux(), 'mlx5_core.sf.2/net/enp3s0f0s88'), { recursive: true })
    mkdirSync(join(aux(), 'mlx5_core.eth.2/power'), { recursive: true })
    expect(readAuxDevice('mlx5_core.sf.2', aux())).toEqual({
      name: 'mlx5_core.sf.2',
      netdevs: ['enp3s0f0s88'],
    })
    expect(readAuxDevice('mlx5_core.eth.2', aux())).toEqual({ name: 'mlx5_core.eth.2', netdevs: [] })
  })

  test.each(['mlx5_core.sf.3', '', '.', '..', '../devices/mlx5_core.sf.2', 'a.b.', 'x'])(
    '%j is none',
    (name) => {
      mkdirSync(join(aux(), 'mlx5_core.sf.2/net/enp3s0f0s88'), { recursive: true })
      expect(readAuxDevice(name, aux())).toBeUndefined()
    },
  )
})

describe('a kernel path', () => {
  const sys = () => join(top, 'devices')
  const at = (path: string) => deviceOfKernelPath(`${sys()}/${path}`, sys())

  beforeEach(() => {
    mkdirSync(join(sys(), 'pci0000:00/0000:00:19.0/net/eno1'), { recursive: true })
    mkdirSync(join(top, 'elsewhere/net/bad'), { recursive: true })
    mkdirSync(join(sys(), 'virtual'))
    symlinkSync('../../elsewhere', join(sys(), 'virtual/out'))
    symlinkSync('../pci0000:00/0000:00:19.0', join(sys(), 'virtual/in'))
  })

  test.each<[string, string[]]>([
    ['pci0000:00/0000:00:19.0', ['eno1']],
    ['pci0000:00/0000:00:19.0/', ['eno1']],
    ['virtual/../pci0000:00/0000:00:19.0', ['eno1']],
    ['virtual/in', ['eno1']],
    ['pci0000:00', []],
    ['nowhere', []],
    ['../elsewhere', []],
    ['virtual/out', []],
    ['virtual/../../elsewhere', []],
  ])('%s has %j', (path, netdevs) => {
    expect(at(path)).toEqual(netdevs)
  })

  test('without an interface to see is still that of a network card, and of nothing else', () => {
    const card = join(sys(), 'pci0000:00/0000:00:03.0/0000:01:10.0')
    mkdirSync(card, { recursive: true })
    writeFileSync(join(card, 'class'), '0x020000\n')
    writeFileSync(join(card, '../class'), '0x060400\n')
    expect(pciOfKernelPath(`${card}/`, sys())).toBe('0000:01:10.0')
    expect(pciOfKernelPath(`${card}/..`, sys())).toBeUndefined()
    expect(pciOfKernelPath(`${card}/../..`, sys())).toBeUndefined()
    symlinkSync(card, join(top, 'card'))
    expect(pciOfKernelPath(join(top, 'card'), sys())).toBeUndefined()
  })

  test('that does not begin below the top is none, wherever it leads', () => {
    symlinkSync('devices/pci0000:00/0000:00:19.0', join(top, 'link'))
    expect(deviceOfKernelPath(join(top, 'link'), sys())).toEqual([])
    expect(deviceOfKernelPath(sys(), sys())).toEqual([])
    expect(deviceOfKernelPath(`${sys()}x/y`, sys())).toEqual([])
  })
})

describe('the ports of a PF', () => {
  function addNetdevs(names: Readonly<Record<string, string | null>>): void {
    const folder = addFunction(pf, { netdevs: Object.keys(names) })
    for (const [netdev, port] of Object.entries(names)) {
      const file = join(folder, 'net', netdev, 'phys_port_name')
      if (port !== null) writeFileSync(file, `${port}\n`)
      // Reading fails, as it does with EOPNOTSUPP where a driver has no port names.
      else mkdirSync(file)
    }
  }
  const ports = () => portsOf(pf, devices)

  test('its only interface, whatever its port is called', () => {
    addNetdevs({ pf0: null })
    expect(ports()).toEqual(['pf0'])
  })

  test('the one whose port is p<N> among representors', () => {
    addNetdevs({ eth0: 'pf0vf0', eth1: 'pf0vf1', ens1f0: 'p0', eth10: 'pf0vf10' })
    expect(ports()).toEqual(['ens1f0'])
  })

  test.each([
    ['no port', { a: 'pf0vf0', b: 'pf0vf1' }],
    ['no port names', { a: null, b: null }],
    ['names that only look alike', { a: 'p0s', b: 'xp0', c: 'P0', d: 'p0s1vf2' }],
    ['no interface', {}],
  ])('none with %s', (_, names) => {
    addNetdevs(names)
    expect(ports()).toEqual([])
  })

  test('all ports of a PF, by their numbers, also of one port that is split', () => {
    addNetdevs({ a: 'p10', b: 'p2', c: 'pf0vf0', d: null, e: 'n0', f: 'p2s1', g: 'p2s0' })
    expect(ports()).toEqual(['b', 'g', 'f', 'a'])
  })

  test('none of a PF that does not exist', () => {
    expect(ports()).toEqual([])
  })
})

describe('the function behind an interface', () => {
  function addNetdev(name: string, target?: string): void {
    mkdirSync(join(top, 'class/net', name), { recursive: true })
    if (target !== undefined) symlinkSync(target, join(top, 'class/net', name, 'device'))
  }
  const behind = (name: string) => pciAddressOf(name, join(top, 'class/net'))

  test.each([
    ['../../../0000:3b:00.0', '0000:3b:00.0'],
    ['../../../10000:e1:00.0', '10000:e1:00.0'],
    ['../../virtio0', undefined],
    ['../../../usb1/1-1', undefined],
  ])('%s: %s', (target, found) => {
    addNetdev('eth0', target)
    expect(behind('eth0')).toBe(found)
  })

  test('none for software interfaces and strangers', () => {
    addNetdev('lo')
    expect(behind('lo')).toBeUndefined()
    expect(behind('gone')).toBeUndefined()
  })
})

test('RDMA devices of a function', () => {
  const folder = addFunction(pf)
  expect(rdmaDevicesOf(pf, devices)).toEqual([])
  for (const name of ['mlx5_1', 'mlx5_0']) mkdirSync(join(folder, 'infiniband', name), { recursive: true })
  expect(rdmaDevicesOf(pf, devices)).toEqual(['mlx5_0', 'mlx5_1'])
})

test('a vDPA device belongs to the function above it, and no other name does', () => {
  const vdpas = join(top, 'bus/vdpa/devices')
  const device = join(addFunction(pf), 'mlx5_core.vnet.3', 'vdpa0')
  for (const path of [vdpas, device]) mkdirSync(path, { recursive: true })
  symlinkSync(device, join(vdpas, 'vdpa0'))
  expect(isVdpaOf('vdpa0', pf, vdpas)).toBe(true)
  expect(isVdpaOf('vdpa0', address('0000:3b:00.1'), vdpas)).toBe(false)
  for (const name of ['vdpa1', '', '.', '..', `../devices/vdpa0`, pf])
    expect([name, isVdpaOf(name, pf, vdpas)]).toEqual([name, false])
})
