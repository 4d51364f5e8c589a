// Each device is in at most one pool, the first of the config that wants it; rules for all devices and the guard come after the selectors.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PoolConfig, Selector } from '../../../device-plugin/config/plugin-config.ts'
import type { Device, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import { isGuardReason } from '../../../device-plugin/pools/entry.ts'
import { guardedOf } from '../../../device-plugin/pools/guarded.ts'
import {
  config,
  device,
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
const members = (pools: readonly PoolConfig[], from: Snapshot) =>
  Object.fromEntries(
    assignPools(config(...pools), from).pools.map((one) => [
      one.config.name,
      one.members.map(({ device: { id } }) => id),
    ]),
  )
const reasons = (own: PoolConfig, one: Device) =>
  assignPools(config(own), snapshot([one]))
    .verdicts.get(one.id)
    ?.rejections.map(({ reason }) => reason)

describe('pools', () => {
  test('have devices in the order of the config; a pool that is asked later is not in the verdict', () => {
    const vfs = [0, 1, 2, 3].map((index) => vf(parent, index))
    const from = snapshot(vfs, [pf(parent, 'ens1f0')])
    const pools = [
      pool('low', [{ pfNames: [onPf('ens1f0', [0, 1])] }]),
      pool('all', [{}]),
      pool('late', [{}]),
    ]
    expect(members(pools, from)).toEqual({
      low: ['0000:3b:10.0', '0000:3b:10.1'],
      all: ['0000:3b:10.2', '0000:3b:10.3'],
      late: [],
    })
    const { verdicts, pools: assigned } = assignPools(config(...pools), from)
    expect(verdicts.get('0000:3b:10.0')).toEqual({ resource: 'test/low', rejections: [] })
    expect(verdicts.get('0000:3b:10.3')).toEqual({
      resource: 'test/all',
      rejections: [{ resource: 'test/low', reason: 'pfNames: has ens1f0#3, wanted ens1f0#0-1' }],
    })
    expect(assigned.map((one) => one.config)).toEqual(pools)
  })

  test('of a config without any, and of a node without devices', () => {
    expect(assignPools(config(), snapshot([vf(parent, 0)])).verdicts).toEqual(
      new Map([['0000:3b:10.0', { resource: undefined, rejections: [] }]]),
    )
    expect(members([pool('a', [{}])], snapshot([]))).toEqual({ a: [] })
  })

  test('with the same config give the same with each new snapshot', () => {
    const own = config(pool('a', [{ drivers: ['igbvf'] }]))
    const sizes = [2, 0, 3].map((count) => assignPools(own, node(1, count)).pools[0]?.members.length)
    expect(sizes).toEqual([2, 0, 3])
  })
})

describe('rules for all devices', () => {
  test('a PF with VFs is no net device to give away', () => {
    expect(reasons(pool('a', [{}]), pfDevice(parent, 4))).toEqual([
      'sriov: has 4 VFs, wanted a PF without any',
    ])
    expect(members([pool('a', [{}])], snapshot([pfDevice(parent, 0)]))).toEqual({ a: [parent] })
    const own = pfDevice(parent, 4, { type: 'accelerator' })
    expect(members([pool('a', [{}], { deviceType: 'accelerator' })], snapshot([own]))).toEqual({
      a: [parent],
    })
  })

  test.each(['netDevice', 'accelerator', 'auxNetDevice'] as const)('%s: a driver must be bound', (type) => {
    const one = device('0000:04:00.0', { type, driver: undefined })
    expect(reasons(pool('a', [{}], { deviceType: type, allowHostUsed: true }), one)).toEqual([
      'driver: has none, wanted any',
    ])
  })

  test('are named only for devices that the selectors match', () => {
    const own = pool('a', [{ vendors: ['15b3'] }])
    for (const one of [pfDevice(parent, 4), vf(parent, 0, { hostUses: ['x'], driver: undefined })])
      expect(reasons(own, one)).toEqual(['vendors: has 8086, wanted 15b3'])
  })
})

describe('the guard', () => {
  const used = { hostUses: ['has the default route by eth0', 'is a port of br0'] }

  test('keeps devices that the host uses, and says so', () => {
    for (const one of [vf(parent, 0, used), pfDevice(parent, 0, used)]) {
      const told = reasons(pool('a', [{}]), one)
      expect(told).toEqual([
        'allowHostUsed: has the default route by eth0 and is a port of br0, wanted no use by the host',
      ])
      expect(told?.every(isGuardReason)).toBe(true)
    }
    const sf = subfunction(parent, 1, used)
    expect(reasons(pool('a', [{}], { deviceType: 'auxNetDevice' }), sf)?.every(isGuardReason)).toBe(true)
    expect(reasons(pool('a', [{ vendors: ['15b3'] }]), vf(parent, 0))?.some(isGuardReason)).toBe(false)
  })

  test('a pool can lift it, also for a device that an earlier pool had to leave', () => {
    const from = snapshot([vf(parent, 0, used)])
    expect(members([pool('a', [{}]), pool('b', [{}], { allowHostUsed: true })], from)).toEqual({
      a: [],
      b: ['0000:3b:10.0'],
    })
    const both = assignPools(config(pool('a', [{}]), pool('b', [{}])), from)
    expect(guardedOf(both).map(({ id, resource }) => `${id} ${resource}`)).toEqual([
      '0000:3b:10.0 test/a',
      '0000:3b:10.0 test/b',
    ])
  })

  test('the use of a PF does not keep its VFs', () => {
    const from = snapshot([pfDevice(parent, 2, used), vf(parent, 0), vf(parent, 1, used)])
    expect(members([pool('a', [{}])], from)).toEqual({ a: ['0000:3b:10.0'] })
  })
})

const texts = (...all: readonly string[]) => fc.subarray([...all], { minLength: 0 })
const selectors: fc.Arbitrary<Selector> = fc.record(
  {
    vendors: texts('8086', '15b3'),
    drivers: texts('igbvf', 'igb', 'vfio-pci'),
    devices: texts('1520', '1521'),
    pfNames: fc.array(
      fc
        .tuple(fc.constantFrom('eth0', 'ETH1', 'nix'), fc.option(fc.tuple(fc.nat(9), fc.nat(9))))
        .map(([name, range]) => (range === null ? onPf(name) : onPf(name, range))),
      { maxLength: 3 },
    ),
    hasRepresentor: fc.boolean(),
    exclude: fc.array(fc.record({ drivers: texts('igb', 'igbvf') }, { requiredKeys: [] }), { maxLength: 2 }),
  },
  { requiredKeys: [] },
)
const poolLists = fc
  .array(fc.tuple(fc.array(selectors, { maxLength: 3 }), fc.boolean()), { maxLength: 6 })
  .map((all) => all.map(([list, allowHostUsed], at) => pool(`p${at}`, list, { allowHostUsed })))
const nodes = fc
  .array(
    fc.record({
      driver: fc.constantFrom('igbvf', 'vfio-pci', undefined),
      hostUses: fc.constantFrom([], [], ['has the default route by eth0']),
    }),
    { minLength: 14, maxLength: 14 },
  )
  .map((changes) => {
    const plain = node(2, 6)
    return { ...plain, devices: plain.devices.map((one, at) => ({ ...one, ...changes[at] })) }
  })

describe('for any pools and devices', () => {
  test('a device is in one pool at most, and the verdict tells that pool or the reason of each', () => {
    fc.assert(
      fc.property(poolLists, nodes, (pools, from) => {
        const assigned = assignPools(config(...pools), from)
        const all = assigned.pools.flatMap((one) => one.members.map(({ device: { id } }) => id))
        expect(new Set(all).size).toBe(all.length)
        for (const { id } of from.devices) {
          const verdict = assigned.verdicts.get(id)
          const at = pools.findIndex(({ resource }) => resource === verdict?.resource)
          const holder = assigned.pools.findIndex((one) => one.members.some((two) => two.device.id === id))
          expect(at).toBe(holder)
          const asked = pools.slice(0, at < 0 ? pools.length : at).map(({ resource }) => resource)
          expect(verdict?.rejections.map(({ resource }) => resource)).toEqual(asked)
          for (const { reason } of verdict?.rejections ?? [])
            expect(reason).toMatch(/^\w+: has .+, wanted .+/)
        }
      }),
    )
  })

  test('a later pool changes nothing for earlier ones', () => {
    fc.assert(
      fc.property(poolLists, nodes, fc.nat(6), (pools, from, count) => {
        const whole = assignPools(config(...pools), from).pools
        expect(assignPools(config(...pools.slice(0, count)), from).pools).toEqual(whole.slice(0, count))
      }),
    )
  })

  test('the order of the snapshot changes nothing', () => {
    fc.assert(
      fc.property(poolLists, nodes, fc.infiniteStream(fc.nat()), (pools, from, numbers) => {
        const shuffled = from.devices
          .map((one) => [numbers.next().value as number, one] as const)
          .sort(([left], [right]) => left - right)
          .map(([, one]) => one)
        const own = config(...pools)
        const other = assignPools(own, { ...from, devices: shuffled })
        expect(other.pools).toEqual(assignPools(own, from).pools)
        expect(other.verdicts).toEqual(assignPools(own, from).verdicts)
      }),
    )
  })
})

test('8 PFs with 128 VFs and 10 pools: each VF is where it belongs', () => {
  const pools = Array.from({ length: 10 }, (_, at) =>
    pool(`p${at}`, [
      { drivers: ['igbvf'], pfNames: [onPf(`eth${at}`, [0, 63]), onPf(`eth${at}`, [64, 127])] },
    ]),
  )
  const { pools: assigned, verdicts } = assignPools(config(...pools), node(8, 128))
  expect(assigned.map((one) => one.members.length)).toEqual([...Array(8).fill(128), 0, 0])
  expect([...verdicts.values()].filter(({ resource }) => resource === undefined)).toHaveLength(8)
  expect(verdicts.get('0000:17:10.0')?.rejections).toHaveLength(7)
})
