// Many flow filters at once need few datagrams, and have the same results as one by one.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addFlowFilters, removeFlowFilters } from '../../../src/kernel/tc/flow-filters.ts'
import { deleteOwnFilters, findOwnFilters } from '../../../src/kernel/tc/own-filters.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { flowerOf } from '../../../src/netlink/tc/filter.ts'
import type { Offload, Outcome } from '../../../src/ops/op.ts'
import { answering, deaf } from '../answers.ts'
import { addFilter, change, pf, prefix, spec, withClsact } from '../flow-filter.ts'
import { conditions, type Sched, skipSw } from '../sched.ts'

describe('several flow filters at once', () => {
  const wanted = (ports: readonly number[], offload: Offload = 'require') =>
    ports.map((port) => ({ ifindex: pf, spec: { ...spec, port }, offload }))
  const ports = (sched: Sched) => sched.filters.map((filter) => flowerOf(filter)?.TCA_FLOWER_KEY_TCP_DST)
  const counted = (count: number, from = 1) => Array.from({ length: count }, (_, at) => from + at)

  test('need few datagrams, and have an outcome each', () => {
    const sched = withClsact(true)
    const before = sched.datagrams()
    const results = addFlowFilters(sched.socket, wanted(counted(400)))
    expect(results).toEqual(counted(400).map((handle) => ({ where: 'nic', handle })))
    expect(ports(sched)).toEqual(counted(400))
    expect(sched.datagrams() - before).toBeLessThanOrEqual(25)
  })

  test('are added after a refused one too, and each has its own error', () => {
    const sched = withClsact(true)
    sched.room = 3
    addFilter(sched.socket, pf, { ...spec, port: 2, cookie: 'f'.repeat(32) }, 'off')
    expect(addFlowFilters(sched.socket, wanted([1, 2, 3, 4, 5]))).toEqual([
      { where: 'nic', handle: 2 },
      expect.objectContaining({ name: 'PortTaken', cookie: 'f'.repeat(32) }),
      { where: 'nic', handle: 3 },
      { where: 'nic', handle: 4 },
      expect.objectContaining({ name: 'OffloadRefused', refusal: 'ENOSPC: the table is full' }),
    ])
    expect(ports(sched)).toEqual([2, 1, 3, 4])
  })

  test('with prefer are in software where the NIC has no room', () => {
    const sched = withClsact(true)
    sched.room = 1
    const refusal = 'ENOSPC: the table is full'
    expect(addFlowFilters(sched.socket, wanted([1, 2, 3], 'prefer'))).toEqual([
      { where: 'nic', handle: 1 },
      { where: 'host', refusal, handle: 2 },
      { where: 'host', refusal, handle: 3 },
    ])
  })

  test('lose only the one that the kernel has stored differently', () => {
    const sched = withClsact(true)
    sched.spoil = (filter) =>
      flowerOf(filter)?.TCA_FLOWER_KEY_TCP_DST === 2 ? change(filter, { TCA_FLOWER_FLAGS: skipSw }) : filter
    const [, spoilt] = addFlowFilters(sched.socket, wanted([1, 2, 3]))
    expect(spoilt).toMatchObject({ name: 'OffloadRefused', message: /in_hw: missing/ })
    expect(ports(sched)).toEqual([1, 3])
  })

  test('have the same results as one by one', () => {
    const port = fc.integer({ min: 1, max: 6 })
    const request = fc.record({
      ifindex: fc.constantFrom(pf, 9),
      spec: fc.record({ port, address: fc.constantFrom('10.1.0.1', 'fd00::1') }).map((more) => {
        return { ...spec, ...more, prio: more.address === '10.1.0.1' ? 10 : 11 }
      }),
      offload: fc.constantFrom<Offload>('require', 'off'),
    })
    const node = fc.record({ takes: fc.constantFrom<(true | string)[]>(true, 'no'), room: fc.nat(8) })
    fc.assert(
      fc.property(node, fc.array(request, { maxLength: 20 }), ({ takes, room }, list) => {
        const [together, alone] = [withClsact(takes), withClsact(takes)]
        together.room = alone.room = room
        const words = (results: readonly (Outcome | Error)[]) =>
          results.map((result) => (result instanceof Error ? `${result.name} ${result.message}` : result))
        const one = (each: (typeof list)[number]) => addFlowFilters(alone.socket, [each])
        const kept = (sched: Sched) => sched.filters.map((filter) => [filter.tcm_ifindex, conditions(filter)])
        expect(words(addFlowFilters(together.socket, list))).toEqual(words(list.flatMap(one)))
        expect(kept(together)).toEqual(kept(alone))
        expect(words(removeFlowFilters(together.socket, list))).toEqual(list.map(() => ({})))
        expect(together.filters).toEqual([])
      }),
    )
  })

  test('are removed with one dump of each interface, in few datagrams', () => {
    const sched = withClsact()
    addFlowFilters(sched.socket, wanted(counted(100), 'off'))
    const [datagrams, looks] = [sched.datagrams(), sched.count(RTM.RTM_GETTFILTER)]
    expect(removeFlowFilters(sched.socket, wanted(counted(99)))).toEqual(counted(99).map(() => ({})))
    expect(ports(sched)).toEqual([100])
    expect(sched.count(RTM.RTM_GETTFILTER) - looks).toBe(1)
    expect(sched.datagrams() - datagrams).toBeLessThanOrEqual(4)
    // A filter that no dump shows counts as gone.
    expect(removeFlowFilters(sched.socket, wanted([7, 100]))).toEqual([{}, {}])
    expect(sched.count(RTM.RTM_GETTFILTER) - looks).toBe(3)
    expect(sched.filters).toEqual([])
  })

  test('are removed by their handles without a dump', () => {
    const sched = withClsact()
    addFlowFilters(sched.socket, wanted([1, 2, 3], 'off'))
    const numbered = wanted([1, 2]).map((request, at) => ({ ...request, handle: at + 1 }))
    expect(removeFlowFilters(sched.socket, numbered)).toEqual([{}, {}])
    expect(removeFlowFilters(sched.socket, numbered)).toEqual([{}, {}])
    expect(sched.count(RTM.RTM_GETTFILTER)).toBe(0)
    expect(ports(sched)).toEqual([3])
    expect(removeFlowFilters(sched.socket, [...numbered, ...wanted([3])])).toEqual([{}, {}, {}])
    expect(sched.filters).toEqual([])
  })

  test('count as removed by handle when their qdisc or interface is gone', () => {
    const sched = withClsact()
    addFlowFilters(sched.socket, wanted([1], 'off'))
    sched.qdiscs.clear()
    sched.filters.length = 0
    const requests = wanted([1]).map((request) => ({ ...request, handle: 1 }))
    expect(removeFlowFilters(sched.socket, requests)).toEqual([{}])
    const { socket } = answering(() => ({ errno: 19 }))
    expect(removeFlowFilters(socket, requests)).toEqual([{}])
  })

  test('take a lost answer for no refusal, because the filter may be in the NIC', () => {
    for (const offload of ['prefer', 'require'] as const) {
      const { socket, sent } = deaf()
      const results = addFlowFilters(socket, wanted([1, 2], offload))
      for (const result of results) expect(result).toMatchObject({ name: 'NetlinkError', code: 'ENOBUFS' })
      expect(sent()).toBe(1)
    }
  })

  test('report a failed deletion for that filter alone, and the others are removed', () => {
    const sched = withClsact()
    addFlowFilters(sched.socket, wanted([1, 2, 3], 'off'))
    sched.busy = 2
    expect(removeFlowFilters(sched.socket, wanted([1, 2, 3]))).toEqual([
      {},
      expect.objectContaining({ message: 'RTM_DELTFILTER: EBUSY' }),
      {},
    ])
    expect(() => deleteOwnFilters(sched.socket, findOwnFilters(sched.open, prefix))).toThrow('EBUSY')
  })

  test('of ours are deleted in few datagrams, also behind one that is gone', () => {
    const sched = withClsact()
    addFlowFilters(sched.socket, wanted(counted(300), 'off'))
    const found = findOwnFilters(sched.open, prefix)
    sched.filters.splice(5, 1)
    const before = sched.datagrams()
    deleteOwnFilters(sched.socket, found)
    expect(sched.filters).toEqual([])
    expect(sched.datagrams() - before).toBeLessThanOrEqual(5)
  })
})
