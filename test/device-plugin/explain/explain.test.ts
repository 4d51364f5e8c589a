// The explanation tells of each device its pool or the reason of each pool against it, of each empty pool the nearest miss, and likely mistakes.
import { describe, expect, test } from 'vitest'
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import { explain } from '../../../device-plugin/explain/explanation.ts'
import { explainJson, explainTable } from '../../../device-plugin/explain/text.ts'
import { nextHealth } from '../../../device-plugin/health/next.ts'
import type { Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import {
  config,
  device,
  netdev,
  node,
  onPf,
  pf,
  pfDevice,
  pool,
  snapshot,
  subfunction,
  vf,
} from '../../support/device-plugin/devices.ts'

const parent = '0000:3b:00.0'
const ens = pf(parent, 'ens1f0', { numVfs: 3 })
const vfs = [0, 1, 2].map((index) => vf(parent, index, { numaNode: 1 }))
const small = snapshot([pfDevice(parent, 3), ...vfs], [ens])
const explained = (pools: readonly PoolConfig[], from: Snapshot) =>
  explain(assignPools(config(...pools), from))

test('the whole table', () => {
  const used = { hostUses: ['has the default route by eth9'], netdevs: [netdev('eth9')] }
  const from = {
    ...snapshot(
      [device('0000:04:00.0', used), pfDevice(parent, 3), ...vfs, subfunction('0000:5e:00.0', 2)],
      [ens],
    ),
    unanswered: ['devlink: EPERM'],
  }
  const pools = [
    pool('low', [{ pfNames: [onPf('ens1f0', [0, 1])] }]),
    pool('vfio', [{ drivers: ['vfio-pci'], devices: ['1520'] }]),
    pool('any', [{ drivers: ['igb', 'igbvf'] }], { resource: 'test.org/any' }),
    pool('accel', [{}], { deviceType: 'accelerator' }),
  ]
  const assignment = assignPools(config(...pools), from)
  const held = new Map([
    ['0000:3b:10.0', { resource: 'test/low', pod: { namespace: 'shop', name: 'web-0' } }],
    ['0000:3b:10.2', { resource: 'old/x', pod: { namespace: 'shop', name: 'web-1' } }],
    ['0000:3b:10.7', { resource: 'test/low' }],
  ])
  const { view } = nextHealth({ assignment, held, attachments: [], now: 0 })
  expect(explainTable(assignment, view)).toBe(
    `
Devices:
  DEVICE          ID         DRIVER     PF#INDEX        NUMA  POOL
  0000:04:00.0    8086:1521  igb        -               -     none
      test/low: pfNames: has no PF, wanted ens1f0#0-1
      test/vfio: devices: has 1521, wanted 1520
      test.org/any: allowHostUsed: has the default route by eth9, wanted no use by the host
  0000:3b:00.0    8086:1521  igb        PF, 3 VFs       -     none
      test/low: pfNames: has no PF, wanted ens1f0#0-1
      test/vfio: devices: has 1521, wanted 1520
      test.org/any: sriov: has 3 VFs, wanted a PF without any
  0000:3b:10.0    8086:1520  igbvf      ens1f0#0        1     test/low
  0000:3b:10.1    8086:1520  igbvf      ens1f0#1        1     test/low
  0000:3b:10.2    8086:1520  igbvf      ens1f0#2        1     none
      test.org/any does not offer the device: the pod shop/web-1 has the device as old/x
  mlx5_core.sf.2  15b3:101d  mlx5_core  0000:5e:00.0#2  -     none
      no pool has deviceType auxNetDevice
  0000:3b:10.7    -          -          -               -     test/low
      unhealthy (gone): the device is not on the node any more

Pools:
  RESOURCE      DEVICETYPE   DEVICES  HEALTHY
  test/low      netDevice    3        2
  test/vfio     netDevice    0        0
      3 devices failed at drivers: has igbvf, wanted vfio-pci
  test.org/any  netDevice    0        0
  test/accel    accelerator  0        0
      the node has no device of deviceType accelerator

Used by the host ("allowHostUsed": true in the pool offers them all the same):
  0000:04:00.0  test.org/any: allowHostUsed: has the default route by eth9, wanted no use by the host

Overlaps (the first pool has the devices):
  test/low before test.org/any: 0000:3b:10.0, 0000:3b:10.1

Not answered by the kernel:
  devlink: EPERM`.trimStart(),
  )
})

test('of nothing', () => {
  expect(explainTable(assignPools(config(), snapshot([])))).toBe(
    'Devices:\n  the node has none\n\nPools:\n  the config has none',
  )
})

test('as JSON tells the same, all rejections included', () => {
  const assignment = assignPools(
    config(pool('a', [{}], { deviceType: 'accelerator' }), pool('b', [{}])),
    small,
  )
  const own = JSON.parse(explainJson(assignment)) as ReturnType<typeof explain>
  expect(own.devices[1]).toEqual({
    id: '0000:3b:10.0',
    facts: { type: 'netDevice', vendor: '8086', product: '1520', driver: 'igbvf', numaNode: 1 },
    pf: { address: parent, name: 'ens1f0', index: 0 },
    pool: 'test/b',
    rejections: [{ resource: 'test/a', reason: 'deviceType: has netDevice, wanted accelerator' }],
    unhealthy: [],
  })
  expect(own.pools[1]).toEqual({
    resource: 'test/b',
    deviceType: 'netDevice',
    devices: 3,
    healthy: 3,
    misses: [],
  })
})

describe('nearest misses of a pool without devices', () => {
  const misses = (selector: Selector, from = small) =>
    explained([pool('a', [selector])], from).pools[0]?.misses

  test('are the devices that fail the fewest conditions', () => {
    expect(misses({ vendors: ['8086'], devices: ['1520'], drivers: ['vfio-pci'] })).toEqual([
      '3 devices failed at drivers: has igbvf, wanted vfio-pci',
    ])
    expect(misses({ vendors: ['15b3'], drivers: ['igb'], devices: ['1520', '1521'] })).toEqual([
      '3 devices failed at vendors: has 8086, wanted 15b3; and drivers: has igbvf, wanted igb',
      '1 device failed at vendors: has 8086, wanted 15b3; and sriov: has 3 VFs, wanted a PF without any',
    ])
  })

  test('with several values have one as example', () => {
    expect(misses({ pfNames: [onPf('ens1f0', [8, 15])] })).toEqual([
      '3 devices failed at pfNames: has ens1f0#0, wanted ens1f0#8-15, as 0000:3b:10.0 did',
    ])
  })

  test('are of the selector that comes nearest', () => {
    const far = { vendors: ['15b3'], drivers: ['vfio-pci'] }
    const { pools } = explained([pool('a', [far, { drivers: ['vfio-pci'], devices: ['1520'] }])], small)
    expect(pools[0]?.misses).toEqual(['3 devices failed at drivers: has igbvf, wanted vfio-pci'])
  })

  test('may be devices that match, and that earlier pools have', () => {
    const { pools } = explained([pool('a', [{}]), pool('b', [{ drivers: ['igbvf'] }])], small)
    expect(pools[1]?.misses).toEqual(['3 devices would match, but earlier pools have them: test/a'])
  })

  test('of a pool without selectors', () => {
    expect(explained([pool('a', [])], small).pools[0]?.misses).toEqual([
      '4 devices failed at selectors: has none, wanted one',
    ])
  })
})

test('overlaps name the later pools, and the devices', () => {
  const pools = [
    pool('a', [{ pfNames: [onPf('ens1f0', [0, 1])] }]),
    pool('b', [{ pfNames: [onPf('ens1f0', [1, 2])] }]),
    pool('c', [{ drivers: ['igbvf'] }]),
    pool('d', [{}], { deviceType: 'accelerator' }),
  ]
  expect(explained(pools, small).overlaps).toEqual([
    { resource: 'test/a', later: ['test/c'], devices: ['0000:3b:10.0'] },
    { resource: 'test/a', later: ['test/b', 'test/c'], devices: ['0000:3b:10.1'] },
    { resource: 'test/b', later: ['test/c'], devices: ['0000:3b:10.2'] },
  ])
})

describe('likely mistakes', () => {
  const hints = (selector: Selector, from = small) => explained([pool('a', [selector, selector])], from).hints
  const sf = subfunction('0000:5e:00.0', 88)
  const named = snapshot(
    [pfDevice(parent, 3), vf(parent, 0, { netdevs: [netdev('ens1f0v0')] }), sf],
    [ens, pf('0000:5e:00.0', 'ens2f0')],
  )

  test.each<readonly [string, Selector, string]>([
    [
      'the product id of a PF',
      { devices: ['1521'] },
      'devices has 1521, the product id of PFs that have VFs; their VFs have 1520',
    ],
    [
      'an address in devices',
      { devices: ['0000:3b:10.0'] },
      'devices has 0000:3b:10.0, which is a PCI address; addresses stand in pciAddresses',
    ],
    [
      'a spelling of an address',
      { pciAddresses: ['3B:10.0'] },
      'pciAddresses has 3B:10.0, which is spelled 0000:3b:10.0 here',
    ],
    [
      'a name as address',
      { pciAddresses: ['ens1f0'] },
      'pciAddresses has ens1f0, which is no PCI address; must be like 0000:3b:02.1',
    ],
    [
      'a name that no PF has',
      { pfNames: [onPf('ens9', [0, 3])] },
      'pfNames has ens9#0-3, a name that no PF has; the PFs are ens1f0, ens2f0',
    ],
    [
      'the name of a VF',
      { pfNames: [onPf('ens1f0v0')] },
      'pfNames has ens1f0v0, which is the interface of the VF 0000:3b:10.0',
    ],
    [
      'an address in pfNames',
      { pfNames: [onPf(parent)] },
      `pfNames has ${parent}, which is a PCI address; addresses of PFs stand in rootDevices`,
    ],
    [
      'an address that no PF has',
      { rootDevices: [onPf('0000:00:00.0')] },
      `rootDevices has 0000:00:00.0, an address that no PF has; the PFs are ${parent}, 0000:5e:00.0`,
    ],
    [
      'a name in rootDevices',
      { rootDevices: [onPf('ens1f0')] },
      `rootDevices has ens1f0, which is a name; names stand in pfNames, and the address is ${parent}`,
    ],
    [
      'a VF in rootDevices',
      { rootDevices: [onPf('0000:3b:10.0')] },
      `rootDevices has 0000:3b:10.0, which is a VF; its PF is ${parent}`,
    ],
    [
      'indexes that no VF has',
      { pfNames: [onPf('ENS1F0', [0, 1], [3, 7])] },
      'pfNames has ENS1F0#0-1,3-7, but ENS1F0 has 3 VFs: 0-2',
    ],
  ])('%s', (_, selector, hint) => {
    expect(hints(selector, named)).toEqual([`test/a: ${hint}`])
  })

  test('are none in a config that is right', () => {
    const right = { devices: ['1520'], pfNames: [onPf('ens1f0', [0, 15])], rootDevices: [onPf(parent)] }
    expect(hints({ ...right, pciAddresses: ['0000:3b:10.0'] }, named)).toEqual([])
    expect(hints({ pfNames: [onPf('ens2f0', [88, 88])] }, named)).toEqual([])
    expect(hints({ devices: ['1521', 'ffff'] }, snapshot([pfDevice(parent, 0)], [ens]))).toEqual([])
    expect(hints({ pfNames: [onPf('x')] }, snapshot([]))).toEqual([
      'test/a: pfNames has x, a name that no PF has; no PF has an interface here',
    ])
  })
})

test('8 PFs with 128 VFs and 10 pools: a row for each device', () => {
  const pools = Array.from({ length: 10 }, (_, at) => pool(`p${at}`, [{ drivers: [`driver${at}`] }]))
  const text = explainTable(assignPools(config(...pools), node(8, 128)))
  expect(text.split('\n').filter((line) => /^ {2}0000:/.test(line))).toHaveLength(8 * 129)
})
