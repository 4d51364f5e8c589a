// A scan finds the PCI functions and subfunctions of a node with all that sysfs tells about them.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ScanFailed, scan } from '../../../device-plugin/inventory/scan.ts'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import { deviceIn, networkLink, snapshotOf } from '../../support/device-plugin/network-facts.ts'

let root: FakeRoot
beforeEach(() => {
  root = new FakeRoot()
})
afterEach(() => root.remove())

const pf = '0000:3b:00.0'
const vf1 = '0000:3b:10.2'

/** An igb with VFs that have interfaces `v0`, `v1`, ... */
function addIgb(vfs: number): void {
  root.addPf({ address: pf, driver: 'igb', numaNode: 1, netdevs: [{ name: 'ens1', ifindex: 7 }] })
  root.setVfs(pf, vfs, (index) => ({
    driver: 'igbvf',
    netdevs: [{ name: `v${index}`, ifindex: 20 + index }],
  }))
}

describe('PCI functions', () => {
  test('of the classes network and accelerator are devices, others are not', () => {
    root.addFunction({ address: '0000:01:00.0', driver: 'e1000e' })
    root.addFunction({ address: '0000:02:00.0', pciClass: '120000', vendor: '1af4' })
    root.addFunction({ address: '0000:03:00.0', pciClass: '030000' })
    root.addFunction({ address: '0000:04:00.0', pciClass: '020700', driver: 'mlx5_core' })
    const found = snapshotOf(root).devices.map(({ id, type, pciClass, driver }) => [
      id,
      type,
      pciClass,
      driver,
    ])
    expect(found).toEqual([
      ['0000:01:00.0', 'netDevice', '020000', 'e1000e'],
      ['0000:02:00.0', 'accelerator', '120000', undefined],
      ['0000:04:00.0', 'netDevice', '020700', 'mlx5_core'],
    ])
  })

  test('tell ids, NUMA node, ACPI index and their way through the bridges', () => {
    const bridges = ['0000:00:02.0', '0000:1a:00.0']
    root.addFunction({
      ...{ address: '0000:1b:00.0', vendor: '15b3', device: '101e', numaNode: 1, acpiIndex: 101, bridges },
    })
    expect(deviceIn(snapshotOf(root), '0000:1b:00.0')).toMatchObject({
      ...{ vendor: '15b3', product: '101e', numaNode: 1, acpiIndex: '101', driver: undefined },
      pciPath: [...bridges, '0000:1b:00.0'],
    })
  })

  test('without NUMA have no node', () => {
    root.addFunction({ address: pf })
    expect(deviceIn(snapshotOf(root), pf)).toMatchObject({ numaNode: undefined, acpiIndex: undefined })
  })
})

describe('VFs', () => {
  test('know their PF and their index', () => {
    addIgb(3)
    const snapshot = snapshotOf(root)
    expect(snapshot.devices.map(({ id, pf: at }) => [id, at?.index])).toEqual([
      [pf, undefined],
      ['0000:3b:10.0', 0],
      [vf1, 1],
      ['0000:3b:10.4', 2],
    ])
    expect(deviceIn(snapshot, vf1)).toMatchObject({ pf: { address: pf }, numaNode: 1, product: '10ca' })
    expect(deviceIn(snapshot, pf).sriov).toEqual({ total: 128, now: 3 })
    expect(snapshot.pfs.get(pf)).toMatchObject({ numVfs: 3, uplink: { name: 'ens1' } })
  })

  test('come and go with sriov_numvfs', () => {
    addIgb(3)
    root.setVfs(pf, 0)
    expect(snapshotOf(root).devices.map(({ id }) => id)).toEqual([pf])
    root.setVfs(pf, 1)
    expect(snapshotOf(root).devices.map(({ id }) => id)).toEqual([pf, '0000:3b:10.0'])
  })

  test('have the attributes that their PF tells', () => {
    addIgb(2)
    const asked: number[] = []
    const snapshot = snapshotOf(root, {
      links: () => [networkLink('ens1', 7, { parent: pf })],
      vfs: (ifindex) => {
        asked.push(ifindex)
        return new Map([
          [0, { mac: '02:00:00:00:00:0a' }],
          [1, { mac: '02:00:00:00:00:0b', vlan: { id: 5, qos: 0, proto: 0x8100 }, linkState: 'disable' }],
        ])
      },
    })
    expect(asked).toEqual([7])
    expect(deviceIn(snapshot, '0000:3b:10.0').vf).toEqual({
      mac: '02:00:00:00:00:0a',
      vlan: 0,
      linkState: 'auto',
    })
    expect(deviceIn(snapshot, vf1).vf).toEqual({ mac: '02:00:00:00:00:0b', vlan: 5, linkState: 'disable' })
    expect(deviceIn(snapshot, pf).vf).toBeUndefined()
  })

  test('are not asked of an interface with the number that another sysfs has', () => {
    addIgb(1)
    const vfs = () => {
      throw new RangeError('asked')
    }
    const snapshot = snapshotOf(root, { links: () => [networkLink('eth0', 7)], vfs })
    expect(snapshot.unanswered).toEqual([])
    expect(deviceIn(snapshot, '0000:3b:10.0').vf).toBeUndefined()
  })
})

describe('refusals of the kernel', () => {
  test('are named once each, and the rest of the snapshot is there', () => {
    addIgb(1)
    const refuse = () => {
      throw Object.assign(new RangeError('EPERM'), { code: 'EPERM' })
    }
    const snapshot = snapshotOf(root, {
      ...{ links: refuse, eswitchModes: refuse, troubles: refuse, ddpProfiles: refuse, rdmaEnabled: refuse },
      defaultRoutes: refuse,
    })
    expect(snapshot.unanswered).toEqual(['interfaces: EPERM', 'devlink: EPERM', 'default routes: EPERM'])
    expect(snapshot.areHostUsesUnknown).toBe(true)
    expect(deviceIn(snapshot, '0000:3b:10.0').netdevs).toMatchObject([
      { name: 'v0', ifindex: 20, carrier: true },
    ])
  })

  test('of routes or addresses leave uses by the host unknown, of devlink they do not', () => {
    const refuse = () => {
      throw new RangeError('EPERM')
    }
    expect(snapshotOf(root, { addresses: refuse }).areHostUsesUnknown).toBe(true)
    expect(snapshotOf(root, { defaultRoutes: refuse }).areHostUsesUnknown).toBe(true)
    expect(snapshotOf(root, { eswitchModes: refuse }).areHostUsesUnknown).toBeUndefined()
  })

  test('to open a socket leaves what sysfs tells', () => {
    addIgb(1)
    const openNetwork = () => {
      throw new RangeError('EACCES')
    }
    const snapshot = scan({ sys: root.sys, dev: root.dev, openNetwork }, 1)
    expect(snapshot).toMatchObject({ unanswered: ['network: EACCES'], areHostUsesUnknown: true })
    expect(snapshot.devices).toHaveLength(2)
  })

  test('fails where sysfs is not mounted: an empty folder says nothing about the devices', () => {
    addIgb(1)
    rmSync(join(root.sys, 'bus'), { recursive: true })
    expect(() => snapshotOf(root)).toThrow(
      /^Cannot take an inventory: ".*" is no sysfs: it has no folder "bus"$/,
    )
  })

  test('too many open files end the scan: a snapshot without devices would take them from kubelet', () => {
    addIgb(1)
    const full = () => {
      throw Object.assign(new RangeError('EMFILE: too many open files'), { code: 'EMFILE' })
    }
    const words = 'Cannot take an inventory: EMFILE: too many open files'
    expect(() => snapshotOf(root, { links: full })).toThrow(ScanFailed)
    expect(() => scan({ sys: root.sys, dev: root.dev, openNetwork: full }, 1)).toThrow(words)
  })

  test('a defect of this program is no refusal', () => {
    const broken = () => {
      throw new TypeError('defect')
    }
    expect(() => snapshotOf(root, { links: broken })).toThrow('defect')
  })
})
