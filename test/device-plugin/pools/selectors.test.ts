// Each key of a selector has the meaning that the documentation gives: a device that it takes, one that it turns away, and the sentence.
import { describe, expect, test } from 'vitest'
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import type { Device, Pf } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import {
  config,
  device,
  netdev,
  onPf,
  pf,
  pfDevice,
  pool,
  snapshot,
  subfunction,
  vf,
} from '../../support/device-plugin/devices.ts'

const parent = '0000:3b:00.0'
const ens = pf(parent, 'ens1f0', { numVfs: 8 })
const rdma = (changes: Partial<NonNullable<Device['rdma']>> = {}) => ({
  rdma: { device: 'mlx5_3', files: {}, connectionManager: true, pKey: '0xffff', ...changes },
})
const vdpa = (type: 'vhost' | 'virtio') => ({ vdpa: { name: 'vdpa0', type, path: undefined } })
const accelerator = (changes: Partial<Device> = {}) =>
  device('0000:f7:00.0', { type: 'accelerator', pciClass: '120000', linkType: undefined, ...changes })

/** The pool's own devices by id; for each other one the sentence. */
function outcome(own: PoolConfig, devices: readonly Device[], pfs: readonly Pf[] = [ens]) {
  const { pools, verdicts } = assignPools(config(own), snapshot(devices, pfs))
  const taken = new Set(pools[0]?.members.map((member) => member.device.id))
  return devices.map(({ id }) => (taken.has(id) ? 'taken' : verdicts.get(id)?.rejections[0]?.reason))
}

type Row = readonly [
  name: string,
  selector: Selector,
  taken: Partial<Device>,
  refused: Partial<Device>,
  reason: string,
]

const rows: readonly Row[] = [
  [
    'vendors',
    { vendors: ['15b3', '8086'] },
    {},
    { vendor: '1af4' },
    'vendors: has 1af4, wanted 15b3 or 8086',
  ],
  ['devices', { devices: ['1520'] }, {}, { product: '154c' }, 'devices: has 154c, wanted 1520'],
  ['drivers', { drivers: ['vfio-pci'] }, { driver: 'vfio-pci' }, {}, 'drivers: has igbvf, wanted vfio-pci'],
  [
    'drivers, none bound',
    { drivers: ['vfio-pci'] },
    { driver: 'vfio-pci' },
    { driver: undefined },
    'drivers: has none, wanted vfio-pci',
  ],
  [
    'pciAddresses',
    { pciAddresses: ['0000:3b:10.0'] },
    {},
    { id: '0000:3b:10.5', pci: '0000:3b:10.5' },
    'pciAddresses: has 0000:3b:10.5, wanted 0000:3b:10.0',
  ],
  ['acpiIndexes', { acpiIndexes: ['101'] }, { acpiIndex: '101' }, {}, 'acpiIndexes: has none, wanted 101'],
  [
    'linkTypes',
    { linkTypes: ['infiniband'] },
    { linkType: 'infiniband' },
    {},
    'linkTypes: has ether, wanted infiniband',
  ],
  [
    'ddpProfiles',
    { ddpProfiles: ['GTPv1-C/U IPv4/IPv6 payload'] },
    { ddpProfile: 'GTPv1-C/U IPv4/IPv6 payload' },
    { ddpProfile: 'ICE OS Default Package' },
    'ddpProfiles: has ICE OS Default Package, wanted GTPv1-C/U IPv4/IPv6 payload',
  ],
  [
    'pKeys',
    { pKeys: ['0x8001'] },
    { linkType: 'infiniband', ...rdma({ pKey: '0x8001' }) },
    { linkType: 'infiniband', ...rdma() },
    'pKeys: has 0xffff, wanted 0x8001',
  ],
  [
    'pKeys, on Ethernet',
    { pKeys: ['0xffff'] },
    { linkType: 'infiniband', ...rdma() },
    rdma(),
    'pKeys: has none, wanted 0xffff',
  ],
  ['isRdma', { isRdma: true }, rdma(), {}, 'isRdma: has no RDMA device, wanted one'],
  ['vdpaType', { vdpaType: 'vhost' }, vdpa('vhost'), vdpa('virtio'), 'vdpaType: has virtio, wanted vhost'],
  [
    'vdpaType, no vDPA device',
    { vdpaType: 'virtio' },
    vdpa('virtio'),
    {},
    'vdpaType: has none, wanted virtio',
  ],
  [
    'hasRepresentor: true',
    { hasRepresentor: true },
    { representor: netdev('eth0_0') },
    {},
    'hasRepresentor: has no representor, wanted one',
  ],
  [
    'hasRepresentor: false',
    { hasRepresentor: false },
    {},
    { representor: netdev('eth0_0') },
    'hasRepresentor: has eth0_0, wanted none',
  ],
  [
    'pfNames',
    { pfNames: [onPf('ens1f0', [0, 3])] },
    {},
    { pf: { address: parent, index: 4 } },
    'pfNames: has ens1f0#4, wanted ens1f0#0-3',
  ],
  [
    'pfNames, a device without a PF',
    { pfNames: [onPf('ens1f0')] },
    {},
    { pf: undefined },
    'pfNames: has no PF, wanted ens1f0',
  ],
  [
    'rootDevices',
    { rootDevices: [onPf(parent, [0, 0], [2, 3])] },
    {},
    { pf: { address: parent, index: 1 } },
    `rootDevices: has ${parent}#1, wanted ${parent}#0,2-3`,
  ],
  [
    'exclude',
    { exclude: [{ drivers: ['vfio-pci'], vendors: ['8086'] }] },
    {},
    { driver: 'vfio-pci' },
    'exclude: has the vendors and drivers of exclude[0], wanted others',
  ],
]

describe('a condition on net devices', () => {
  test.each(rows)('%s', (_, selector, taken, refused, reason) => {
    expect(outcome(pool('a', [selector]), [vf(parent, 0, taken)])).toEqual(['taken'])
    expect(outcome(pool('a', [selector]), [vf(parent, 0, refused)])).toEqual([reason])
  })

  test.each([
    ['vendors', { vendors: [] }],
    ['pfNames', { pfNames: [] }],
    ['vdpaType', { isRdma: false }],
    ['needVhostNet', { needVhostNet: true }],
    ['a selector without keys', {}],
    ['exclude without conditions', { exclude: [{}, { auxTypes: ['sf'] }] }],
  ])('%s: an empty one turns nobody away', (_, selector) => {
    expect(outcome(pool('a', [selector]), [vf(parent, 0), device('0000:04:00.0')])).toEqual([
      'taken',
      'taken',
    ])
  })

  test('all keys of a selector must hold, and the first that fails is named in the order of sriov-network-device-plugin', () => {
    const selector = {
      drivers: ['vfio-pci'],
      devices: ['1520'],
      vendors: ['8086'],
      linkTypes: ['infiniband'],
    }
    const own = pool('a', [selector])
    const right = { driver: 'vfio-pci', linkType: 'infiniband' }
    const reasons = [
      [right, 'taken'],
      [{ ...right, linkType: 'ether', vendor: '15b3' }, 'vendors: has 15b3, wanted 8086'],
      [{ ...right, driver: 'igbvf', product: '1111' }, 'devices: has 1111, wanted 1520'],
      [{ ...right, linkType: 'ether', driver: 'igbvf' }, 'drivers: has igbvf, wanted vfio-pci'],
      [{ ...right, linkType: 'ether' }, 'linkTypes: has ether, wanted infiniband'],
    ] as const
    for (const [changes, reason] of reasons) expect(outcome(own, [vf(parent, 0, changes)])).toEqual([reason])
  })

  test('one of several selectors is enough; the first that matches is told; all reasons are told once', () => {
    const [first, second] = [{ drivers: ['vfio-pci'] }, { vendors: ['8086'] }]
    const own = pool('a', [first, second, { vendors: ['8086'] }])
    const { pools } = assignPools(config(own), snapshot([vf(parent, 0)], [ens]))
    expect(pools[0]?.members[0]?.selector).toBe(second)
    expect(outcome(own, [vf(parent, 0, { vendor: '15b3' })])).toEqual([
      'drivers: has igbvf, wanted vfio-pci; or vendors: has 15b3, wanted 8086',
    ])
    expect(outcome(pool('a', []), [vf(parent, 0)])).toEqual(['selectors: has none, wanted one'])
  })

  test('a long list is not told whole', () => {
    const pciAddresses = Array.from({ length: 9 }, (_, at) => `0000:05:00.${at}`)
    expect(outcome(pool('a', [{ pciAddresses }]), [vf(parent, 0)])).toEqual([
      `pciAddresses: has 0000:3b:10.0, wanted ${pciAddresses.slice(0, 6).join(', ')} or one of 3 more`,
    ])
  })
})

describe('names of PFs', () => {
  const named = (...entries: Parameters<typeof onPf>[]) =>
    pool('a', [{ pfNames: entries.map((one) => onPf(...one)) }])
  const vfs = [0, 1, 2, 3].map((index) => vf(parent, index))
  const taken = (own: PoolConfig, one: Pf) => outcome(own, vfs, [one]).map((text) => text === 'taken')

  test('are those of the uplink, altnames too, in any case', () => {
    const uplink = netdev('ens1f0', { altnames: ['enp59s0f0', 'wire'] })
    const own = { ...ens, uplink, netdevs: [netdev('pf0vf0'), uplink] }
    for (const name of ['ens1f0', 'ENS1F0', 'wire', 'Enp59s0f0'])
      expect([name, taken(named([name]), own)]).toEqual([name, [true, true, true, true]])
    expect(taken(named(['pf0vf0']), own)).toEqual([false, false, false, false])
    expect(taken(named([parent]), own)).toEqual([false, false, false, false])
  })

  test('of one PF in several entries are united, by whatever name', () => {
    const own = { ...ens, uplink: netdev('ens1f0', { altnames: ['wire'] }) }
    expect(taken(named(['ens1f0', [0, 0]], ['ens1f0', [2, 2]]), own)).toEqual([true, false, true, false])
    expect(taken(named(['ens1f0', [0, 0]], ['wire', [3, 3]]), own)).toEqual([true, false, false, true])
    expect(taken(named(['ens1f0', [0, 0]], ['ens1f0']), own)).toEqual([true, true, true, true])
  })

  test('of a PF with several ports are those of each', () => {
    const own = {
      ...ens,
      uplink: undefined,
      ports: [netdev('p0np'), netdev('p1np')],
      eswitchMode: 'switchdev',
    } as const
    for (const name of ['p0np', 'p1np']) expect(taken(named([name]), own)).toEqual([true, true, true, true])
  })

  test('never match a PF itself', () => {
    const own = pool('a', [{ pfNames: [onPf('ens1f0')] }])
    expect(outcome(own, [pfDevice(parent, 0)])).toEqual(['pfNames: has no PF, wanted ens1f0'])
  })

  test('without a known uplink are those of each interface in legacy mode, and of none in switchdev mode', () => {
    const legacy = { ...ens, uplink: undefined, netdevs: [netdev('p1'), netdev('p2')] }
    expect(taken(named(['p2']), legacy)).toEqual([true, true, true, true])
    const switchdev = { ...legacy, eswitchMode: 'switchdev' } as const
    expect(outcome(named(['p2']), [vf(parent, 1)], [switchdev])).toEqual([
      `pfNames: has no interface on its PF ${parent}#1, wanted p2`,
    ])
  })

  test('rootDevices are addresses, in any case', () => {
    const own = (name: string) => pool('a', [{ rootDevices: [onPf(name)] }])
    expect(outcome(own('0000:3B:00.0'), [vf(parent, 0)])).toEqual(['taken'])
    expect(outcome(own('ens1f0'), [vf(parent, 0)])).toEqual([`rootDevices: has ${parent}#0, wanted ens1f0`])
  })
})

test('eswitchModes is the mode of the PF; a PF that devlink does not know is in legacy mode', () => {
  const own = (mode: 'legacy' | 'switchdev') => pool('a', [{ eswitchModes: [mode] }])
  const switchdev = { ...ens, eswitchMode: 'switchdev' } as const
  expect(outcome(own('switchdev'), [vf(parent, 0)], [switchdev])).toEqual(['taken'])
  expect(outcome(own('switchdev'), [vf(parent, 0)], [ens])).toEqual([
    'eswitchModes: has legacy, wanted switchdev',
  ])
  expect(outcome(own('legacy'), [vf(parent, 0), pfDevice(parent, 0)], [ens])).toEqual(['taken', 'taken'])
  expect(outcome(own('legacy'), [device('0000:04:00.0')])).toEqual(['eswitchModes: has none, wanted legacy'])
  const elsewhere = { ...ens, managedElsewhere: 'BlueField in DPU mode?' }
  expect(outcome(own('legacy'), [vf(parent, 0)], [elsewhere])).toEqual([
    'eswitchModes: has none that this host manages (BlueField in DPU mode?), wanted legacy',
  ])
})

describe('the type of a pool', () => {
  test('is asked first', () => {
    const all = [vf(parent, 0), accelerator(), subfunction('0000:5e:00.0', 3)]
    const refused = (type: string) => (has: string) =>
      has === type ? 'taken' : `deviceType: has ${has}, wanted ${type}`
    for (const deviceType of ['netDevice', 'accelerator', 'auxNetDevice'] as const)
      expect(outcome(pool('a', [{}], { deviceType }), all)).toEqual(
        ['netDevice', 'accelerator', 'auxNetDevice'].map(refused(deviceType)),
      )
  })

  test('decides about the keys: accelerators have vendors, devices, drivers, addresses and indexes', () => {
    const own = (selector: Selector) => pool('a', [selector], { deviceType: 'accelerator' })
    const one = accelerator({ product: '0d5d', driver: 'vfio-pci', acpiIndex: '7' })
    const selector = { vendors: ['8086'], devices: ['0d5d'], drivers: ['vfio-pci'], pciAddresses: [one.id] }
    expect(outcome(own({ ...selector, acpiIndexes: ['7'] }), [one])).toEqual(['taken'])
    for (const key of ['vendors', 'devices', 'drivers', 'pciAddresses', 'acpiIndexes'])
      expect(outcome(own({ [key]: ['0'] }), [one])[0]).toMatch(new RegExp(`^${key}: has .*, wanted 0$`))
    const foreign = { pfNames: [onPf('x')], linkTypes: ['ether'], isRdma: true, vdpaType: 'vhost' } as const
    expect(outcome(own({ ...foreign, auxTypes: ['sf'] }), [one])).toEqual(['taken'])
  })

  test('decides about the keys: subfunctions have those of their parent, and auxTypes', () => {
    const sf = '0000:5e:00.0'
    const pfs = [pf(sf, 'eth7')]
    const own = (selector: Selector) => pool('a', [selector], { deviceType: 'auxNetDevice' })
    const one = subfunction(sf, 3, rdma())
    const all = { vendors: ['15b3'], devices: ['101d'], drivers: ['mlx5_core'], linkTypes: ['ether'] }
    const more = { auxTypes: ['sf'], pfNames: [onPf('eth7', [2, 3])], rootDevices: [onPf(sf)], isRdma: true }
    expect(outcome(own({ ...all, ...more }), [one], pfs)).toEqual(['taken'])
    expect(outcome(own({ auxTypes: ['eth'] }), [one], pfs)).toEqual(['auxTypes: has sf, wanted eth'])
    expect(outcome(own({ pfNames: [onPf('eth7', [4, 9])] }), [one], pfs)).toEqual([
      'pfNames: has eth7#3, wanted eth7#4-9',
    ])
    expect(outcome(own({ isRdma: true }), [subfunction(sf, 3)], pfs)).toEqual([
      'isRdma: has no RDMA device, wanted one',
    ])
    const foreign = { pciAddresses: ['0000:00:00.0'], acpiIndexes: ['9'], pKeys: ['1'], ddpProfiles: ['x'] }
    expect(outcome(own({ ...foreign, vdpaType: 'vhost' }), [one], pfs)).toEqual(['taken'])
  })
})
