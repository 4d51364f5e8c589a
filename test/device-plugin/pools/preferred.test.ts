// Preferred allocation: the choice of each policy, and what all of them have in common for any lists.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PreferredAllocation } from '../../../device-plugin/config/plugin-config.ts'
import type { Device } from '../../../device-plugin/inventory/snapshot.ts'
import { assignPools } from '../../../device-plugin/pools/assign.ts'
import { prefer } from '../../../device-plugin/pools/preferred.ts'
import { config, device, node, pool, snapshot, vf } from '../../support/device-plugin/devices.ts'

const policies = ['packed', 'spread', 'numa', 'pcie'] as const

/** Chooses on a node whose pool has all of `devices`. */
function chooser(devices: readonly Device[]) {
  const from = snapshot(devices)
  const [own] = assignPools(config(pool('a', [{}])), from).pools
  if (own === undefined) throw new RangeError('the config has one pool')
  return (
    policy: PreferredAllocation,
    available: readonly string[],
    count: number,
    required: readonly string[] = [],
  ) => prefer(own, from, policy, available, required, count)
}

/** VFs of PFs a, b, c, ...: `a0` is VF 0 of the first one. */
function vfs(...counts: readonly number[]): { readonly devices: Device[]; id(name: string): string } {
  const pfs = counts.map((_, at) => `0000:1${at}:00.0`)
  const devices = counts.flatMap((count, at) =>
    Array.from({ length: count }, (_, index) => vf(pfs[at] ?? '', index)),
  )
  const id = (name: string) =>
    devices.find(
      ({ pf }) => pf?.address === pfs[name.charCodeAt(0) - 97] && pf?.index === Number(name.slice(1)),
    )?.id ?? name
  return { devices, id }
}

/** Chooses by names such as `a0`. */
function named(
  counts: readonly number[],
  policy: PreferredAllocation,
  count: number,
  required: string[] = [],
) {
  const { devices, id } = vfs(...counts)
  const chosen = chooser(devices)(
    policy,
    devices.map((one) => one.id),
    count,
    required.map(id),
  )
  return chosen.map((one) => {
    const own = devices.find((other) => other.id === one)?.pf
    return `${'abcd'[Number(own?.address[6])]}${own?.index}`
  })
}

describe('packed', () => {
  test('takes the PF with the fewest free devices that is enough', () => {
    expect(named([4, 2, 3], 'packed', 2)).toEqual(['b0', 'b1'])
    expect(named([4, 2, 3], 'packed', 3)).toEqual(['c0', 'c1', 'c2'])
    expect(named([3, 2, 2], 'packed', 1)).toEqual(['b0'])
  })

  test('takes the fullest PF while none is enough, and ends with the one that fits best', () => {
    expect(named([4, 2, 3], 'packed', 6)).toEqual(['a0', 'a1', 'a2', 'a3', 'b0', 'b1'])
    expect(named([4, 2, 3], 'packed', 5)).toEqual(['a0', 'a1', 'a2', 'a3', 'b0'])
  })

  test('goes on with a PF that the required devices have begun', () => {
    expect(named([4, 2, 3], 'packed', 2, ['a2'])).toEqual(['a2', 'a0'])
    expect(named([4, 1, 3], 'packed', 3, ['b0'])).toEqual(['b0', 'c0', 'c1'])
  })
})

describe('spread', () => {
  test('takes from each PF in turn, the fullest first', () => {
    expect(named([1, 4, 2], 'spread', 3)).toEqual(['b0', 'c0', 'a0'])
    expect(named([1, 4, 2], 'spread', 6)).toEqual(['b0', 'c0', 'a0', 'b1', 'c1', 'b2'])
  })

  test('counts what is required', () => {
    expect(named([3, 3], 'spread', 2, ['a0'])).toEqual(['a0', 'b0'])
    expect(named([3, 3, 3], 'spread', 4, ['a0', 'a1'])).toEqual(['a0', 'a1', 'b0', 'c0'])
  })
})

describe('numa', () => {
  const devices = [
    ...[0, 1].map((index) => vf('0000:10:00.0', index, { numaNode: 0 })),
    ...[0, 1].map((index) => vf('0000:11:00.0', index, { numaNode: 0 })),
    ...[0, 1, 2].map((index) => vf('0000:12:00.0', index, { numaNode: 1 })),
    device('0000:20:00.0'),
  ]
  const all = devices.map(({ id }) => id)
  const choose = chooser(devices)
  const buses = (ids: readonly string[]) => ids.map((id) => id.slice(5, 7)).join(' ')

  test('takes one node that is enough, and packs within it', () => {
    expect(buses(choose('numa', all, 3))).toBe('12 12 12')
    expect(buses(choose('numa', all, 4))).toBe('10 10 11 11')
    expect(buses(choose('numa', all.slice(1, 4), 2))).toBe('11 11')
    expect(buses(choose('numa', all, 1))).toBe('20')
  })

  test('stays on the node of the required devices', () => {
    expect(buses(choose('numa', all, 3, ['0000:11:10.1']))).toBe('11 11 10')
  })
})

describe('pcie', () => {
  // Two root ports; below the first a switch with two ports.
  const at = (id: string, ...path: readonly string[]) => device(id, { pciPath: [...path, id] })
  const [root, other, left, right] = ['0000:00:01.0', '0000:00:02.0', '0000:02:00.0', '0000:02:01.0']
  const devices = [
    at('0000:03:00.0', root, left),
    at('0000:03:00.1', root, left),
    at('0000:04:00.0', root, right),
    at('0000:04:00.1', root, right),
    at('0000:04:00.2', root, right),
    at('0000:05:00.0', other),
    at('0000:05:00.1', other),
    at('0000:05:00.2', other),
    at('0000:05:00.3', other),
  ]
  const all = devices.map(({ id }) => id)
  const choose = chooser(devices)
  const places = (ids: readonly string[]) => ids.map((id) => id.slice(6, 7) + id.slice(-1)).join(' ')

  test('takes what has the longest way in common with a required device', () => {
    expect(places(choose('pcie', all, 2, ['0000:03:00.1']))).toBe('31 30')
    expect(places(choose('pcie', all, 4, ['0000:03:00.1']))).toBe('31 30 40 41')
    expect(places(choose('pcie', all, 3, ['0000:03:00.1', '0000:05:00.0']))).toBe('31 50 30')
    expect(places(choose('pcie', all, 6, ['0000:04:00.1']))).toBe('41 40 42 30 31 50')
  })

  test('without a required device takes the smallest group below one bridge that is enough', () => {
    expect(places(choose('pcie', all, 2))).toBe('30 31')
    expect(places(choose('pcie', all, 3))).toBe('40 41 42')
    expect(places(choose('pcie', all, 4))).toBe('50 51 52 53')
    expect(places(choose('pcie', all, 5))).toBe('30 31 40 41 42')
    expect(choose('pcie', all, 9)).toEqual(all)
    expect(choose('pcie', all, 20)).toEqual(all)
  })

  test('is near a required device that the pool does not have', () => {
    const from = snapshot([...devices, at('0000:05:00.7', other)])
    const [own] = assignPools(
      config(pool('a', [{ exclude: [{ pciAddresses: ['0000:05:00.7'] }] }])),
      from,
    ).pools
    if (own === undefined) throw new RangeError('the config has one pool')
    expect(places(prefer(own, from, 'pcie', all, ['0000:05:00.7'], 2))).toBe('57 50')
  })
})

const scale = node(4, 6)
const lists = fc
  .record({
    available: fc.shuffledSubarray([...scale.devices.map(({ id }) => id), 'x', 'y', '', '0000:99:00.0']),
    extra: fc.array(fc.constantFrom('z', '0000:10:10.0', '0000:12:10.3', 'w'), { maxLength: 3 }),
    required: fc.nat(4),
    count: fc.integer({ min: -1, max: 40 }),
  })
  .map(({ available, extra, required, count }) => ({
    available,
    required: [...available.slice(0, required), ...extra],
    count,
  }))

describe.each(policies)('%s, for any lists', (policy) => {
  const choose = chooser(scale.devices)
  const known = new Set(scale.devices.filter(({ sriov }) => sriov === undefined).map(({ id }) => id))

  test('all that is required comes first, then as many as are asked for, none twice, none of others', () => {
    fc.assert(
      fc.property(lists, ({ available, required, count }) => {
        const chosen = choose(policy, available, count, required)
        const must = new Set(required)
        const union = new Set([...available, ...required])
        expect(new Set(chosen.slice(0, must.size))).toEqual(must)
        expect(chosen).toHaveLength(Math.max(must.size, Math.min(count, union.size)))
        expect(new Set(chosen).size).toBe(chosen.length)
        for (const id of chosen) expect(union).toContain(id)
      }),
    )
  })

  test('ids that the pool does not have come last', () => {
    fc.assert(
      fc.property(lists, ({ available, required, count }) => {
        const more = choose(policy, available, count, required).slice(new Set(required).size)
        const firstStranger = more.findIndex((id) => !known.has(id))
        if (firstStranger < 0) return
        expect(more.slice(firstStranger).some((id) => known.has(id))).toBe(false)
        const left = available.filter((id) => known.has(id) && !required.includes(id))
        expect(firstStranger).toBe(left.length)
      }),
    )
  })

  test('the order of the lists changes nothing, nor do repetitions', () => {
    fc.assert(
      fc.property(lists, fc.nat(), ({ available, required, count }, turn) => {
        const turned = (list: readonly string[]) => {
          const at = list.length === 0 ? 0 : turn % list.length
          return [...list.slice(at), ...list.slice(0, at)].reverse()
        }
        expect(choose(policy, [...turned(available), ...available], count, turned(required))).toEqual(
          choose(policy, available, count, required),
        )
      }),
    )
  })

  test('strange counts', () => {
    for (const count of [Number.NaN, -5, 0]) expect(choose(policy, ['x', 'y'], count, ['y'])).toEqual(['y'])
    expect(choose(policy, [], 3)).toEqual([])
  })
})

test('packed takes as few PFs as can be, spread as many, numa as few nodes', () => {
  const choose = chooser(scale.devices)
  const byId = new Map(scale.devices.map((one) => [one.id, one]))
  const vfIds = scale.devices.filter(({ pf }) => pf !== undefined).map(({ id }) => id)
  fc.assert(
    fc.property(
      fc.shuffledSubarray(vfIds, { minLength: 1 }),
      fc.integer({ min: 1, max: 24 }),
      (free, wish) => {
        const count = Math.min(wish, free.length)
        const kinds = (ids: readonly string[], of: (one: Device | undefined) => unknown) =>
          new Set(ids.map((id) => of(byId.get(id)))).size
        const sizes = (of: (one: Device | undefined) => unknown) => {
          const all = new Map<unknown, number>()
          for (const id of free) all.set(of(byId.get(id)), (all.get(of(byId.get(id))) ?? 0) + 1)
          return [...all.values()].sort((left, right) => right - left)
        }
        const fewest = (list: readonly number[]) => {
          const total = (groups: number) => list.slice(0, groups).reduce((sum, size) => sum + size, 0)
          return list.findIndex((_, at) => total(at + 1) >= count) + 1
        }
        const pfOf = (one: Device | undefined) => one?.pf?.address
        const numaOf = (one: Device | undefined) => one?.numaNode
        expect(kinds(choose('packed', free, count), pfOf)).toBe(fewest(sizes(pfOf)))
        expect(kinds(choose('numa', free, count), numaOf)).toBe(fewest(sizes(numaOf)))
        expect(kinds(choose('spread', free, count), pfOf)).toBe(Math.min(count, sizes(pfOf).length))
      },
    ),
  )
})
