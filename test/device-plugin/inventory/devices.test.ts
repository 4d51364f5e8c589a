// The files and kinds of devices: vfio, UIO, RDMA, vDPA, subfunctions, and what their PF tells about them.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import { deviceIn, networkLink, snapshotOf } from '../../support/device-plugin/network-facts.ts'

let root: FakeRoot
beforeEach(() => {
  root = new FakeRoot()
})
afterEach(() => root.remove())

const pf = '0000:3b:00.0'
const vf0 = '0000:3b:00.1'

/** A ConnectX with one VF, whose interfaces and RDMA device are those of `vf`. */
function addConnectX(vf: Parameters<FakeRoot['setVfs']>[2] = () => ({})): void {
  root.addPf({
    ...{ address: pf, vendor: '15b3', device: '101d', driver: 'mlx5_core', offset: 1, stride: 1 },
    ...{ vfDevice: '101e', netdevs: [{ name: 'ens1', ifindex: 7, physPortName: 'p0', physSwitchId: 'aa' }] },
  })
  root.setVfs(pf, 1, (index) => ({ driver: 'mlx5_core', ...vf(index) }))
}

describe('drivers for user space', () => {
  test('vfio: group, file of the device, and whether it is open', () => {
    addConnectX(() => ({ driver: 'vfio-pci', iommuGroup: 42 }))
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({
      ...{ driver: 'vfio-pci', isOpen: false, uio: undefined, netdevs: [], linkType: 'ether' },
      vfio: { group: 42, noIommu: false, cdev: 'vfio0' },
    })
    root.setValue(vf0, 'enable', 1)
    expect(deviceIn(snapshotOf(root), vf0).isOpen).toBe(true)
  })

  test('vfio without an IOMMU', () => {
    addConnectX(() => ({ driver: 'vfio-pci' }))
    expect(deviceIn(snapshotOf(root), vf0).vfio).toEqual({ group: 64, noIommu: true, cdev: 'vfio0' })
  })

  test('UIO keeps a function enabled, so nothing tells that it is open', () => {
    addConnectX(() => ({ driver: 'uio_pci_generic' }))
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({ uio: 'uio0', vfio: undefined, isOpen: undefined })
  })

  test('the driver of the kernel comes back', () => {
    addConnectX(() => ({ netdevs: [{ name: 'v0' }] }))
    root.bind(vf0, 'vfio-pci')
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({ driver: 'vfio-pci', netdevs: [] })
    root.bind(vf0, 'mlx5_core')
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({
      ...{ driver: 'mlx5_core', vfio: undefined, isOpen: undefined, netdevs: [{ name: 'v0' }] },
    })
    root.unbind(vf0)
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({ driver: undefined, netdevs: [] })
  })
})

describe('RDMA', () => {
  test('has a name, and the files that there are', () => {
    addConnectX(() => ({ rdma: { name: 'mlx5_3', uverbs: 'uverbs3', umad: 'umad3', issm: 'issm3' } }))
    const rdma = {
      device: 'mlx5_3',
      files: { uverbs: 'uverbs3', umad: 'umad3', issm: 'issm3' },
      pKey: undefined,
    }
    expect(deviceIn(snapshotOf(root), vf0).rdma).toEqual({ ...rdma, connectionManager: false })
    root.addDeviceFile('infiniband/rdma_cm')
    expect(deviceIn(snapshotOf(root), vf0).rdma).toEqual({ ...rdma, connectionManager: true })
  })

  test('tells its P_Key where the link is InfiniBand', () => {
    addConnectX(() => ({
      netdevs: [{ name: 'ib0', type: 32 }],
      rdma: { name: 'mlx5_3', pKeys: ['0x8001', '0xffff'] },
    }))
    const device = deviceIn(snapshotOf(root), vf0)
    expect([device.linkType, device.rdma?.pKey]).toEqual(['infiniband', '0x8001'])
  })

  test('is known while it is in a pod: by its files, or by the parameter enable_rdma', () => {
    addConnectX(() => ({ rdma: { name: 'mlx5_3', uverbs: 'uverbs3' } }))
    const asked: (readonly string[])[] = []
    const rdmaEnabled = (functions: readonly string[]) => {
      asked.push(functions)
      return new Set([vf0])
    }
    root.hideRdma(vf0)
    expect(deviceIn(snapshotOf(root, { rdmaEnabled }), vf0).rdma).toMatchObject({
      ...{ device: 'mlx5_3', files: { uverbs: 'uverbs3' } },
    })
    root.removeRdma(vf0)
    expect(deviceIn(snapshotOf(root), vf0).rdma).toBeUndefined()
    expect(deviceIn(snapshotOf(root, { rdmaEnabled }), vf0).rdma).toMatchObject({ device: '', files: {} })
    // A function whose files tell is not asked for.
    expect(asked).toEqual([[pf], [pf, vf0]])
  })
})

describe('vDPA', () => {
  test('has the type of its driver, and the file of vhost', () => {
    addConnectX(() => ({ vdpa: { name: 'vdpa0', driver: 'vhost_vdpa' } }))
    expect(deviceIn(snapshotOf(root), vf0).vdpa).toEqual({
      name: 'vdpa0',
      type: 'vhost',
      path: '/dev/vhost-vdpa-0',
    })
    root.removeVdpa(vf0, 'vdpa0')
    root.addVdpa(vf0, { name: 'vdpa1', driver: 'virtio_vdpa' })
    expect(deviceIn(snapshotOf(root), vf0).vdpa).toEqual({ name: 'vdpa1', type: 'virtio', path: undefined })
    root.removeVdpa(vf0, 'vdpa1')
    root.addVdpa(vf0, { name: 'vdpa2', driver: undefined })
    expect(deviceIn(snapshotOf(root), vf0).vdpa).toBeUndefined()
  })
})

describe('subfunctions', () => {
  const sf = 'mlx5_core.sf.2'

  test('are devices of their PF, with their sfnum as index', () => {
    addConnectX()
    root.addSf({ pf, name: sf, sfnum: 88, netdevs: [{ name: 'en1s88' }], rdma: { name: 'mlx5_4' } })
    root.addNetdev(pf, { name: 'rep88', ifindex: 50, physPortName: 'pf0sf88', physSwitchId: 'aa' })
    root.addVdpa(sf, { name: 'vdpa5', driver: 'vhost_vdpa' })
    expect(deviceIn(snapshotOf(root), sf)).toMatchObject({
      ...{ id: sf, type: 'auxNetDevice', pci: pf, vendor: '15b3', product: '101d', driver: 'mlx5_core' },
      ...{ pf: { address: pf, index: 88 }, aux: { kind: 'sf', sfnum: 88 }, linkType: 'ether' },
      ...{ netdevs: [{ name: 'en1s88' }], representor: { name: 'rep88' }, rdma: { device: 'mlx5_4' } },
      ...{ vdpa: { name: 'vdpa5' }, sriov: undefined },
    })
    root.removeSf(sf)
    expect(snapshotOf(root).devices.map(({ id }) => id)).toEqual([pf, vf0])
  })

  test('make a PF of a function without SR-IOV', () => {
    root.addFunction({ address: pf, driver: 'mlx5_core' })
    root.addSf({ pf, name: sf, sfnum: 1 })
    expect(snapshotOf(root).pfs.has(pf)).toBe(true)
    expect(deviceIn(snapshotOf(root), sf).pf).toEqual({ address: pf, index: 1 })
  })
})

describe('the eSwitch', () => {
  const eswitchModes = () => new Map([[pf, 'switchdev' as const]])

  beforeEach(() => {
    addConnectX(() => ({ netdevs: [{ name: 'v0' }] }))
    root.addNetdev(pf, {
      name: 'rep0',
      ifindex: 50,
      physPortName: 'pf0vf0',
      physSwitchId: 'aa',
      carrier: false,
    })
  })

  test('shows uplink and representors, which are no interfaces of the PF as a device', () => {
    const snapshot = snapshotOf(root, { eswitchModes })
    expect(snapshot.pfs.get(pf)).toMatchObject({ eswitchMode: 'switchdev', uplink: { name: 'ens1' } })
    expect(snapshot.pfs.get(pf)?.netdevs.map(({ name }) => name)).toEqual(['ens1', 'rep0'])
    expect(deviceIn(snapshot, pf).netdevs.map(({ name }) => name)).toEqual(['ens1'])
    expect(deviceIn(snapshot, vf0).representor).toMatchObject({ name: 'rep0', carrier: false })
  })

  test('without an answer of devlink its representors tell the mode', () => {
    expect(snapshotOf(root).pfs.get(pf)?.eswitchMode).toBe('switchdev')
    const legacy = snapshotOf(root, { eswitchModes: () => new Map([[pf, 'legacy' as const]]) })
    expect(legacy.pfs.get(pf)?.eswitchMode).toBe('legacy')
    expect(deviceIn(legacy, vf0).representor).toBeUndefined()
  })

  test('whose mode the driver does not tell is managed elsewhere where the driver is known for it', () => {
    root.removeNetdev(pf, 'rep0')
    const refused = { eswitchModes: () => new Map([[pf, 'unsupported' as const]]) }
    expect(snapshotOf(root, refused).pfs.get(pf)).toMatchObject({
      ...{ eswitchMode: undefined, managedElsewhere: 'BlueField in DPU mode?' },
    })
    expect(snapshotOf(root).pfs.get(pf)).not.toHaveProperty('managedElsewhere')
    root.bind(pf, 'igb')
    expect(snapshotOf(root, refused).pfs.get(pf)).not.toHaveProperty('managedElsewhere')
  })

  test('of an EF100 has the number of the uplink’s port, and representors without a parent', () => {
    root.removeNetdev(pf, 'rep0')
    const switchId = '020000000001'
    const links = () => [
      networkLink('ens1', 7, { parent: pf, physPortName: 'p0', physPortId: switchId }),
      networkLink('eth0', 50, { physPortName: 'p0pf0vf0', physSwitchId: switchId }),
    ]
    const snapshot = snapshotOf(root, {
      ...{ links, eswitchModes: () => new Map() },
    })
    expect(snapshot.pfs.get(pf)).toMatchObject({ eswitchMode: 'switchdev', uplink: { name: 'ens1' } })
    expect(deviceIn(snapshot, vf0).representor).toMatchObject({ name: 'eth0' })
  })

  test('of a card with several ports on one PF is that of all, and each port names the PF', () => {
    root.addNetdev(pf, { name: 'ens2', ifindex: 8, physPortName: 'p1', physSwitchId: 'aa' })
    const own = snapshotOf(root, { eswitchModes })
    expect(own.pfs.get(pf)).toMatchObject({ uplink: undefined, ports: [{ name: 'ens1' }, { name: 'ens2' }] })
    expect(deviceIn(own, vf0).representor).toMatchObject({ name: 'rep0' })
  })

  test('in switchdev mode the uplink is asked whether it takes filters', () => {
    const links = () => [networkLink('ens1', 7, { parent: pf, physPortName: 'p0', physSwitchId: 'aa' })]
    const tcOffloads = (asked: readonly number[]) => new Map(asked.map((one) => [one, one === 7]))
    const offload = (facts: Parameters<typeof snapshotOf>[1]) =>
      snapshotOf(root, { links, tcOffloads, ...facts }).pfs.get(pf)?.hwTcOffload
    expect(offload({ eswitchModes })).toBe(true)
    expect(offload({ eswitchModes: () => new Map([[pf, 'legacy' as const]]) })).toBeUndefined()
  })

  test('a representor in a bridge is no use of the VF or the PF by the host', () => {
    const links = () => [
      networkLink('ens1', 7, { parent: pf, physPortName: 'p0', physSwitchId: 'aa' }),
      networkLink('rep0', 50, {
        ...{ parent: pf, physPortName: 'pf0vf0', physSwitchId: 'aa', master: 60, slaveKind: 'openvswitch' },
      }),
      networkLink('ovs-system', 60),
    ]
    const snapshot = snapshotOf(root, { eswitchModes, links })
    expect(deviceIn(snapshot, vf0)).toMatchObject({ hostUses: [], representor: { name: 'rep0' } })
    expect(deviceIn(snapshot, pf).hostUses).toEqual([])
  })

  test('a guess is no representor', () => {
    root.addNetdev(pf, { name: 'rep00', ifindex: 51, physPortName: 'c1pf0vf0', physSwitchId: 'aa' })
    root.removeNetdev(pf, 'rep0')
    root.addNetdev(pf, { name: 'rep01', ifindex: 52, physPortName: 'c2pf0vf0', physSwitchId: 'aa' })
    const snapshot = snapshotOf(root, { eswitchModes })
    expect(deviceIn(snapshot, vf0).representor).toBeUndefined()
    expect(snapshot.unanswered).toEqual([
      `representor: Cannot tell which interface is the representor of VF 0 of ${pf}: rep00 (c1pf0vf0), rep01 (c2pf0vf0)`,
    ])
  })
})

describe('what the PF tells', () => {
  test('troubles, and the DDP profile, also for its VFs', () => {
    addConnectX()
    const snapshot = snapshotOf(root, {
      troubles: () =>
        new Map([[pf, ['the devlink health reporter fw is in state error', 'its last reload failed']]]),
      ddpProfiles: (functions) => new Map(functions.map((one) => [one, 'ICE OS Default Package'])),
    })
    expect(snapshot.pfs.get(pf)?.trouble).toBe(
      'the devlink health reporter fw is in state error; its last reload failed',
    )
    expect(deviceIn(snapshot, vf0).ddpProfile).toBe('ICE OS Default Package')
    expect(snapshotOf(root).pfs.get(pf)?.trouble).toBeUndefined()
  })

  test('the link type while the interface of a VF is in a pod', () => {
    addConnectX(() => ({ netdevs: [{ name: 'v0' }] }))
    root.removeNetdev(vf0, 'v0')
    expect(deviceIn(snapshotOf(root), vf0)).toMatchObject({
      netdevs: [],
      linkType: 'ether',
      driver: 'mlx5_core',
    })
  })
})

test('an interface of virtio lies on the function that carries it', () => {
  const address = '0000:00:03.0'
  root.addFunction({ address, vendor: '1af4', device: '1041', driver: 'virtio-pci' })
  root.addVirtioNetdev(address, 'virtio2', { name: 'eth0', ifindex: 2 })
  const links = () => [networkLink('eth0', 2, { parent: 'virtio2' })]
  const defaultRoutes = () => [{ family: 4 as const, ifindex: 2, table: 254 }]
  expect(deviceIn(snapshotOf(root), address).netdevs).toMatchObject([{ name: 'eth0', ifindex: 2 }])
  expect(deviceIn(snapshotOf(root, { links, defaultRoutes }), address).hostUses).toEqual([
    'has the default route of IPv4 by eth0',
  ])
})
