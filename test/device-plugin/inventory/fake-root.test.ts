// The fake root lays out files and links as sysfs does, and changes them as the kernel does.
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'

let root: FakeRoot
beforeEach(() => {
  root = new FakeRoot()
})
afterEach(() => root.remove())

const pf = '0000:3b:00.0'
const device = (address: string, file = '') => join(root.sys, 'bus/pci/devices', address, file)
const text = (address: string, file: string) => readFileSync(device(address, file), 'utf8')

test('a function has the files and links of its place in the tree', () => {
  root.addFunction({ address: pf, driver: 'igb', netdevs: [{ name: 'ens1', mac: '02:00:00:00:00:01' }] })
  expect(text(pf, 'modalias')).toBe('pci:v00008086d000010C9sv00008086sd00000000bc02sc00i00\n')
  expect(text(pf, 'uevent')).toContain('DRIVER=igb\nPCI_CLASS=20000\nPCI_ID=8086:10C9\n')
  expect([text(pf, 'vendor'), text(pf, 'class')]).toEqual(['0x8086\n', '0x020000\n'])
  expect(readlinkSync(device(pf, 'driver'))).toBe('../../../../bus/pci/drivers/igb')
  expect(realpathSync(device(pf))).toBe(join(root.sys, 'devices/pci0000:00/0000:00:1b.1', pf))
  expect(realpathSync(join(root.sys, 'class/net/ens1/device'))).toBe(realpathSync(device(pf)))
})

test('VFs lie where the capability puts them, and go', () => {
  root.addPf({ address: pf, driver: 'igb' })
  root.setVfs(pf, 3, (index) => ({ driver: 'igbvf', netdevs: [{ name: `v${index}` }] }))
  expect(root.vfs(pf)).toEqual(['0000:3b:10.0', '0000:3b:10.2', '0000:3b:10.4'])
  expect(readlinkSync(device(pf, 'virtfn1'))).toBe('../0000:3b:10.2')
  expect(readlinkSync(device('0000:3b:10.2', 'physfn'))).toBe(`../${pf}`)
  expect(text('0000:3b:10.2', 'device')).toBe('0x10ca\n')
  root.setVfs(pf, 0)
  expect(readdirSync(join(root.sys, 'bus/pci/devices'))).toEqual(['0000:00:1b.1', pf])
  expect(readdirSync(join(root.sys, 'class/net'))).toEqual([])
})

test('a driver for user space takes the interface away, and the first driver brings it back', () => {
  root.addFunction({ address: pf, driver: 'igb', netdevs: [{ name: 'ens1' }], rdma: { name: 'mlx5_0' } })
  root.bind(pf, 'vfio-pci')
  expect(existsSync(device(pf, 'net'))).toBe(false)
  expect(existsSync(join(root.sys, 'class/infiniband/mlx5_0'))).toBe(false)
  expect(readdirSync(device(pf, 'vfio-dev'))).toEqual(['vfio0'])
  expect(readFileSync(device(pf, 'iommu_group/name'), 'utf8')).toBe('vfio-noiommu\n')
  root.bind(pf, 'igb')
  expect(readdirSync(device(pf, 'net'))).toEqual(['ens1'])
  expect(readFileSync(join(root.sys, 'class/infiniband_verbs/uverbs1/ibdev'), 'utf8')).toBe('mlx5_0\n')
  expect([existsSync(device(pf, 'vfio-dev')), existsSync(device(pf, 'iommu_group'))]).toEqual([false, false])
})

test('vDPA devices and subfunctions lie below their function and on their bus', () => {
  root.addPf({ address: pf, driver: 'mlx5_core', vdpa: { name: 'vdpa0', driver: 'vhost_vdpa' } })
  root.addSf({ pf, name: 'mlx5_core.sf.2', sfnum: 88, netdevs: [{ name: 'en1s88' }] })
  expect(readlinkSync(join(root.sys, 'bus/vdpa/devices/vdpa0/driver'))).toMatch(
    /\/bus\/vdpa\/drivers\/vhost_vdpa$/,
  )
  expect(existsSync(join(root.dev, 'vhost-vdpa-0'))).toBe(true)
  expect(realpathSync(join(root.sys, 'bus/auxiliary/devices/mlx5_core.sf.2'))).toBe(
    realpathSync(device(pf, 'mlx5_core.sf.2')),
  )
  root.removeSf('mlx5_core.sf.2')
  expect(readdirSync(join(root.sys, 'bus/auxiliary/devices'))).toEqual([])
  expect(readdirSync(join(root.sys, 'class/net'))).toEqual([])
})
