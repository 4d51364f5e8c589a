// The devices that pools offer while time goes on: those that pods have stay, nothing is offered twice, delays hold, a restart changes nothing.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PoolConfig } from '../../../device-plugin/config/plugin-config.ts'
import type { Held } from '../../../device-plugin/health/health.ts'
import { type HealthState, nextHealth } from '../../../device-plugin/health/next.ts'
import type { Device, Pf } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import { config, netdev, node, pf, pool, snapshot, vf } from '../../support/device-plugin/devices.ts'

const parent = '0000:3b:00.0'
const [a0, a1] = ['0000:3b:10.0', '0000:3b:10.1']
const igbvf = pool('a', [{ drivers: ['igbvf'] }])
const wire = (carrier: boolean, changes: Partial<Pf> = {}) =>
  pf(parent, 'ens1f0', { uplink: netdev('ens1f0', { carrier }), ...changes })

/** Health of one node over time. Devices are told as `ID+` when healthy, else with their reasons: `ID:gone`. */
class Keeper {
  #state: HealthState | undefined
  dueAt: number | undefined
  withheld: readonly string[] = []

  at(
    now: number,
    devices: readonly Device[],
    {
      held = {},
      pools = [igbvf],
      own = wire(true),
    }: { held?: Record<string, string>; pools?: readonly PoolConfig[]; own?: Pf } = {},
  ) {
    const holdings = Object.entries(held).map(([id, name]): [string, Held] => [
      id,
      { resource: `test/${name}` },
    ])
    const { view, state } = nextHealth(
      {
        assignment: assignPools(config(...pools), snapshot(devices, [own])),
        held: new Map(holdings),
        attachments: [],
        now,
      },
      this.#state,
    )
    this.#state = state
    this.dueAt = view.dueAt
    this.withheld = view.withheld.map(({ id, resource, text }) => `${id} ${resource}: ${text}`)
    const told = view.pools.map(({ resource, devices: all }) => [
      resource.replace('test/', ''),
      all.map(
        ({ id, health }) => id + (health.healthy ? '+' : `:${health.reasons.map((one) => one.reason)}`),
      ),
    ])
    return Object.fromEntries(told)
  }

  /** A new process on the same node. */
  restart() {
    this.#state = undefined
  }

  get size() {
    return this.#state?.size
  }
}

describe('a device that vanishes', () => {
  test('stays listed while a pod has it, and leaves the list when it is free', () => {
    const keeper = new Keeper()
    const both = [vf(parent, 0), vf(parent, 1)]
    expect(keeper.at(0, both, { held: { [a0]: 'a' } })).toEqual({ a: [`${a0}+`, `${a1}+`] })
    expect(keeper.at(1, [], { held: { [a0]: 'a' } })).toEqual({ a: [`${a0}:gone`] })
    expect(keeper.at(2, both, { held: { [a0]: 'a' } })).toEqual({ a: [`${a0}+`, `${a1}+`] })
    expect(keeper.at(3, [])).toEqual({ a: [] })
    expect(keeper.size).toBe(0)
  })

  test('is listed after a restart too, and keeps its NUMA node while the process lasts', () => {
    const own = vf(parent, 0, { numaNode: 1 })
    const input = (devices: readonly Device[], excludeTopology = false) => ({
      assignment: assignPools(config({ ...igbvf, excludeTopology }), snapshot(devices)),
      held: new Map([[a0, { resource: 'test/a' }]]),
      attachments: [],
      now: 0,
    })
    const first = nextHealth(input([own]))
    const second = nextHealth(input([]), first.state)
    expect(second.view.pools[0]?.devices).toMatchObject([{ id: a0, numaNode: 1, health: { healthy: false } }])
    expect(nextHealth(input([])).view.pools[0]?.devices).toMatchObject([{ id: a0, numaNode: undefined }])
    expect(nextHealth(input([own], true)).view.pools[0]?.devices).toMatchObject([{ numaNode: undefined }])
  })

  test('of a resource that the config does not have any more is nowhere', () => {
    expect(new Keeper().at(0, [], { held: { [a0]: 'old' } })).toEqual({ a: [] })
  })
})

describe('the driver', () => {
  const vfio = vf(parent, 0, { driver: 'vfio-pci' })

  test('of a device in use has changed, whether the pool still selects the device or not', () => {
    for (const own of [igbvf, pool('a', [{}])]) {
      const keeper = new Keeper()
      const pools = { held: { [a0]: 'a' }, pools: [own] }
      expect(keeper.at(0, [vf(parent, 0)], { pools: [own] })).toEqual({ a: [`${a0}+`] })
      expect(keeper.at(1, [vfio], pools)).toEqual({ a: [`${a0}:driver`] })
      expect(keeper.at(2, [vf(parent, 0, { driver: undefined })], pools)).toEqual({ a: [`${a0}:driver`] })
      expect(keeper.at(3, [vf(parent, 0)], pools)).toEqual({ a: [`${a0}+`] })
    }
  })

  test('of a free device may change: the pool selects it again or not', () => {
    const keeper = new Keeper()
    keeper.at(0, [vf(parent, 0)], { pools: [pool('a', [{}])] })
    expect(keeper.at(1, [vfio], { pools: [pool('a', [{}])] })).toEqual({ a: [`${a0}+`] })
    expect(keeper.at(2, [vfio], { held: { [a0]: 'a' }, pools: [pool('a', [{}])] })).toEqual({ a: [`${a0}+`] })
    expect(keeper.at(3, [vfio])).toEqual({ a: [] })
  })

  test('is not asked where the check is off', () => {
    const own = { ...igbvf, health: { ...igbvf.health, driver: false } }
    const keeper = new Keeper()
    const pools = { held: { [a0]: 'a' }, pools: [own] }
    keeper.at(0, [vf(parent, 0)], pools)
    expect(keeper.at(1, [vfio], pools)).toEqual({ a: [`${a0}+`] })
  })
})

describe('a device that a pod has', () => {
  test('stays as it is when a new config gives it to another pool, and goes there when it is free', () => {
    const keeper = new Keeper()
    keeper.at(0, [vf(parent, 0)], { held: { [a0]: 'a' } })
    const pools = [pool('a', [{ drivers: ['none'] }]), pool('b', [{}])]
    expect(keeper.at(1, [vf(parent, 0)], { held: { [a0]: 'a' }, pools })).toEqual({ a: [`${a0}+`], b: [] })
    expect(keeper.withheld).toEqual([`${a0} test/b: a pod has the device as test/a`])
    expect(keeper.at(2, [vf(parent, 0)], { pools })).toEqual({ a: [], b: [`${a0}+`] })
  })

  test('is offered by nobody when its resource is not in the config any more', () => {
    const keeper = new Keeper()
    expect(keeper.at(0, [vf(parent, 0), vf(parent, 1)], { held: { [a0]: 'old' } })).toEqual({ a: [`${a1}+`] })
    expect(keeper.at(1, [vf(parent, 0), vf(parent, 1)])).toEqual({ a: [`${a0}+`, `${a1}+`] })
  })

  test('and whose facts are in the pod with it stays healthy', () => {
    const rdma = { device: 'mlx5_3', files: {}, connectionManager: true, pKey: undefined }
    const pools = [pool('a', [{ isRdma: true }]), pool('b', [{}])]
    const keeper = new Keeper()
    keeper.at(0, [vf(parent, 0, { rdma })], { pools })
    expect(keeper.at(1, [vf(parent, 0)], { pools, held: { [a0]: 'a' } })).toEqual({ a: [`${a0}+`], b: [] })
    keeper.restart()
    expect(keeper.at(2, [vf(parent, 0)], { pools, held: { [a0]: 'a' } })).toEqual({ a: [`${a0}+`], b: [] })
  })
})

describe('delays (badAfter 3000, goodAfter 5000)', () => {
  const bad = { own: wire(false) }

  test('a reason is told after badAfter and dropped after goodAfter; the time when that is due is known', () => {
    const keeper = new Keeper()
    const one = [vf(parent, 0)]
    const steps = [
      [0, true, '+', undefined],
      [1000, false, '+', 4000],
      [3999, false, '+', 4000],
      [4000, false, ':carrier', undefined],
      [6000, true, ':carrier', 11_000],
      [7000, false, ':carrier', undefined],
      [8000, true, ':carrier', 13_000],
      [12_999, true, ':carrier', 13_000],
      [13_000, true, '+', undefined],
    ] as const
    for (const [now, carrier, told, dueAt] of steps) {
      expect([now, keeper.at(now, one, { own: wire(carrier) })]).toEqual([now, { a: [a0 + told] }])
      expect([now, keeper.dueAt]).toEqual([now, dueAt])
    }
  })

  test('a reason that is about to be dropped says so', () => {
    const texts: (string | undefined)[] = []
    let state: HealthState | undefined
    for (const [now, carrier] of [
      [0, true],
      [1, false],
      [4000, false],
      [4001, true],
    ] as const) {
      const assignment = assignPools(config(igbvf), snapshot([vf(parent, 0)], [wire(carrier)]))
      const next = nextHealth({ assignment, held: new Map(), attachments: [], now }, state)
      state = next.state
      texts.push(next.view.pools[0]?.devices[0]?.health.reasons[0]?.text)
    }
    const text = 'the PF ens1f0 has no carrier'
    expect(texts).toEqual([undefined, undefined, text, `${text} (good again, but not for long enough yet)`])
  })

  test('a device that is bad at first sight is told at once, and is good at once the first time', () => {
    const keeper = new Keeper()
    expect(keeper.at(0, [vf(parent, 0)], bad)).toEqual({ a: [`${a0}:carrier`] })
    expect(keeper.at(10, [vf(parent, 0)])).toEqual({ a: [`${a0}+`] })
    expect(keeper.at(20, [vf(parent, 0)], bad)).toEqual({ a: [`${a0}+`] })
    expect(keeper.dueAt).toBe(3020)
  })

  test('a restart during a short loss of carrier does not touch devices in use', () => {
    const keeper = new Keeper()
    const both = [vf(parent, 0), vf(parent, 1)]
    const held = { [a0]: 'a' }
    keeper.at(0, both, { held })
    keeper.restart()
    expect(keeper.at(1, both, { held, ...bad })).toEqual({ a: [`${a0}+`, `${a1}:carrier`] })
    expect(keeper.at(3001, both, { held, ...bad })).toEqual({ a: [`${a0}:carrier`, `${a1}:carrier`] })
  })

  test('a check that is switched off takes its reason along at once', () => {
    const keeper = new Keeper()
    keeper.at(0, [vf(parent, 0)], bad)
    const pools = [{ ...igbvf, health: { ...igbvf.health, carrier: false } }]
    expect(keeper.at(1, [vf(parent, 0)], { ...bad, pools })).toEqual({ a: [`${a0}+`] })
    expect(keeper.at(2, [vf(parent, 0)], bad)).toEqual({ a: [`${a0}+`] })
  })

  test('a clock that goes back costs one delay', () => {
    const keeper = new Keeper()
    keeper.at(9000, [vf(parent, 0)])
    keeper.at(9001, [vf(parent, 0)], bad)
    expect(keeper.at(100, [vf(parent, 0)], bad)).toEqual({ a: [`${a0}+`] })
    expect(keeper.dueAt).toBe(3100)
    expect(keeper.at(3100, [vf(parent, 0)], bad)).toEqual({ a: [`${a0}:carrier`] })
  })

  test('of 0 tell at once', () => {
    const keeper = new Keeper()
    const pools = [{ ...igbvf, health: { ...igbvf.health, badAfter: 0, goodAfter: 0 } }]
    for (const carrier of [true, false, true, false])
      expect(keeper.at(0, [vf(parent, 0)], { pools, own: wire(carrier) })).toEqual({
        a: [a0 + (carrier ? '+' : ':carrier')],
      })
  })
})

describe('for any changes of the carrier', () => {
  const times = fc.array(fc.tuple(fc.integer({ min: 1, max: 2999 }), fc.integer({ min: 1, max: 9000 })), {
    minLength: 1,
    maxLength: 20,
  })

  test('losses shorter than badAfter are never told', () => {
    fc.assert(
      fc.property(times, (flaps) => {
        const keeper = new Keeper()
        let now = 0
        const look = (carrier: boolean) => keeper.at(now, [vf(parent, 0)], { own: wire(carrier) })
        const good = { a: [`${a0}+`] }
        expect(look(true)).toEqual(good)
        for (const [lost, back] of flaps) {
          expect(look(false)).toEqual(good)
          now += lost
          expect(look(false)).toEqual(good)
          expect(look(true)).toEqual(good)
          now += back
          expect(look(true)).toEqual(good)
        }
      }),
    )
  })

  test('the truth is told in the end, by the timer alone, and no more timer is due then', () => {
    const looks = fc.array(fc.tuple(fc.nat(4000), fc.boolean(), fc.boolean()), {
      minLength: 1,
      maxLength: 30,
    })
    fc.assert(
      fc.property(looks, (all) => {
        const keeper = new Keeper()
        let [now, carrier, isHeld] = [0, true, false]
        const look = () =>
          keeper.at(now, [vf(parent, 0)], { own: wire(carrier), held: isHeld ? { [a0]: 'a' } : {} })
        for (const [wait, next, heldNow] of all) {
          now += wait
          carrier = next
          isHeld = heldNow
          look()
        }
        for (let turn = 0; keeper.dueAt !== undefined; turn += 1) {
          expect(turn).toBeLessThan(3)
          expect(keeper.dueAt).toBeGreaterThan(now)
          now = keeper.dueAt
          look()
        }
        expect(look()).toEqual({ a: [a0 + (carrier ? '+' : ':carrier')] })
      }),
    )
  })
})

test('for any holders each device is offered once, and one that a pod has by that resource alone', () => {
  const from = node(2, 4)
  const pools = [
    pool('a', [{ exclude: [{ pfNames: [{ text: 'eth1', pf: 'eth1', indexes: undefined }] }] }]),
    pool('b', [{}]),
  ]
  const ids = [...from.devices.map(({ id }) => id), 'x', 'y']
  const holders = fc.dictionary(fc.constantFrom(...ids), fc.constantFrom('test/a', 'test/b', 'old/c'))
  fc.assert(
    fc.property(fc.array(fc.tuple(holders, fc.subarray([...from.devices])), { maxLength: 6 }), (steps) => {
      let state: HealthState | undefined
      for (const [now, [held, devices]] of steps.entries()) {
        const assignment = assignPools(config(...pools), { ...from, devices })
        const holdings = new Map(Object.entries(held).map(([id, resource]) => [id, { resource }]))
        const next = nextHealth({ assignment, held: holdings, attachments: [], now }, state)
        state = next.state
        const offered = next.view.pools.flatMap((one) =>
          one.devices.map(({ id, health }) => ({ id, healthy: health.healthy, resource: one.resource })),
        )
        expect(new Set(offered.map(({ id }) => id)).size).toBe(offered.length)
        expect(state.size).toBe(offered.length)
        const here = new Set(devices.map(({ id }) => id))
        for (const { id, resource, healthy } of offered) {
          expect([id, held[id] ?? resource]).toEqual([id, resource])
          expect([id, healthy]).toEqual([id, here.has(id)])
        }
        for (const [id, resource] of Object.entries(held))
          expect(offered.some((one) => one.id === id && one.resource === resource)).toBe(
            !resource.startsWith('old'),
          )
      }
    }),
  )
})

test('8 PFs with 128 VFs and 10 pools: all are judged, and nothing is kept of what is gone', () => {
  const pools = Array.from({ length: 10 }, (_, at) =>
    pool(`p${at}`, [{ pfNames: [{ text: `eth${at}`, pf: `eth${at}`, indexes: undefined }] }]),
  )
  const own = config(...pools)
  let state: HealthState | undefined
  for (const count of [128, 0, 128, 7]) {
    const assignment = assignPools(own, node(8, count))
    const next = nextHealth({ assignment, held: new Map(), attachments: [], now: 0 }, state)
    state = next.state
    expect(next.view.pools.map(({ devices }) => devices.length)).toEqual([...Array(8).fill(count), 0, 0])
    expect(state.size).toBe(8 * count)
  }
})
