import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { failure } from '../../src/cni/failure.ts'
import {
  addClsact,
  addSteers,
  deleteOwnFilters,
  dropEmptyClsact,
  findOwnFilters,
  hasIngress,
  removeSteers,
} from '../../src/kernel/steer.ts'
import type { Message } from '../../src/netlink/message.ts'
import { RTM } from '../../src/netlink/rtnl/const.ts'
import { NetlinkSocket } from '../../src/netlink/socket.ts'
import { compareEcho } from '../../src/netlink/tc/echo.ts'
import { actionsOf, flowerOf, placeOf } from '../../src/netlink/tc/filter.ts'
import type { Flower } from '../../src/netlink/tc/flower.ts'
import { CLSACT_EGRESS, CLSACT_INGRESS, type Tc, tcMessage } from '../../src/netlink/tc/msg.ts'
import type { Offload, Outcome, SteerSpec } from '../../src/ops/op.ts'
import { fixture, payloadOf } from '../netlink/fixtures.ts'
import { answering } from './answers.ts'
import { conditions, inHw, message, notInHw, Sched, skipHw, skipSw } from './sched.ts'

const pf = 2
const spec: SteerSpec = {
  link: 'pf0',
  prio: 10,
  address: '10.1.0.1',
  proto: 'tcp',
  port: 8080,
  dstMac: '02:00:00:00:00:05',
  srcMac: '02:00:00:00:00:01',
  cookie: '76660101aabbccdd0011223344556677',
}

/** One filter by itself; throws what became of it. */
function addSteer(socket: NetlinkSocket, ifindex: number, wanted: SteerSpec, offload: Offload): Outcome {
  const [result] = addSteers(socket, [{ ifindex, spec: wanted, offload }])
  if (result instanceof Error || result === undefined) throw result
  return result
}

function removeSteer(socket: NetlinkSocket, ifindex: number, unwanted: SteerSpec): void {
  expect(removeSteers(socket, [{ ifindex, spec: unwanted }])).toEqual([{}])
}

function withClsact(takes?: true | string): Sched {
  const sched = new Sched(takes)
  addClsact(sched.socket, pf)
  return sched
}

const prefix = '766601'

describe('adding', () => {
  test('a NIC that takes it: skip_sw, in hardware', () => {
    const sched = withClsact(true)
    expect(addSteer(sched.socket, pf, spec, 'prefer')).toEqual({ where: 'nic', handle: 1 })
    expect(flowerOf(sched.filters[0] as Tc)?.TCA_FLOWER_FLAGS).toBe(skipSw | inHw)
    expect(findOwnFilters(sched.socket, prefix)).toEqual([
      {
        ifindex: pf,
        prio: 10,
        handle: 1,
        protocol: 0x0800,
        kind: 'flower',
        cookie: spec.cookie,
        packets: 0n,
        inHw: true,
      },
    ])
  })

  test('a NIC that refuses: skip_hw, with its words', () => {
    const sched = withClsact()
    expect(addSteer(sched.socket, pf, spec, 'prefer')).toEqual({
      where: 'host',
      refusal: 'EOPNOTSUPP: driver has no flow tables',
      handle: 1,
    })
    expect(sched.filters).toHaveLength(1)
    expect(flowerOf(sched.filters[0] as Tc)?.TCA_FLOWER_FLAGS).toBe(skipHw | notInHw)
  })

  test('off: software is all that is asked for', () => {
    const sched = withClsact(true)
    expect(addSteer(sched.socket, pf, spec, 'off')).toEqual({ where: 'host', handle: 1 })
    expect(sched.count(RTM.RTM_NEWTFILTER)).toBe(1)
  })

  test('require: the refusal is an error and nothing stays', () => {
    const sched = withClsact()
    expect(() => addSteer(sched.socket, pf, spec, 'require')).toThrow('EOPNOTSUPP: driver has no flow tables')
    expect(sched.filters).toEqual([])
  })

  test('a key that is taken is no matter of hardware: no second try', () => {
    const sched = withClsact()
    addSteer(sched.socket, pf, spec, 'off')
    expect(() => addSteer(sched.socket, pf, { ...spec, cookie: 'f'.repeat(32) }, 'prefer')).toThrow(
      `tcp 10.1.0.1 port 8080 is taken by a filter of priority 10 on "pf0" with cookie ${spec.cookie}`,
    )
    expect(sched.count(RTM.RTM_NEWTFILTER)).toBe(2)
    expect(sched.filters).toHaveLength(1)
  })

  test('without a qdisc the kernel’s words come through', () => {
    expect(() => addSteer(new Sched().socket, pf, spec, 'prefer')).toThrow(
      "EINVAL: Parent Qdisc doesn't exists",
    )
  })

  test.each<[string, (filter: Tc) => Tc, RegExp]>([
    [
      'a condition',
      (filter) => change(filter, { TCA_FLOWER_KEY_TCP_DST: undefined }),
      /TCA_FLOWER_KEY_TCP_DST/,
    ],
    [
      'an action',
      (filter) => change(filter, { TCA_FLOWER_ACT: flowerOf(filter)?.TCA_FLOWER_ACT?.slice(0, 1) }),
      /number of actions/,
    ],
    [
      'being in hardware',
      (filter) => change(filter, { TCA_FLOWER_FLAGS: skipSw | notInHw }),
      /in_hw: missing/,
    ],
    ['the wish for hardware', (filter) => change(filter, { TCA_FLOWER_FLAGS: inHw }), /flags/],
  ])('a kernel that loses %s is not believed, and the filter is taken away', (_, spoil, words) => {
    const sched = withClsact(true)
    sched.spoil = spoil
    const error = thrownBy(() => addSteer(sched.socket, pf, spec, 'require'))
    expect((error as Error).message).toMatch(words)
    expect(failure(error).code).toBe(102)
    expect(sched.filters).toEqual([])
  })
})

describe('several at once', () => {
  const wanted = (ports: readonly number[], offload: Offload = 'require') =>
    ports.map((port) => ({ ifindex: pf, spec: { ...spec, port }, offload }))
  const ports = (sched: Sched) => sched.filters.map((filter) => flowerOf(filter)?.TCA_FLOWER_KEY_TCP_DST)
  const counted = (count: number, from = 1) => Array.from({ length: count }, (_, at) => from + at)

  test('few datagrams, an outcome for each', () => {
    const sched = withClsact(true)
    const before = sched.datagrams()
    const results = addSteers(sched.socket, wanted(counted(400)))
    expect(results).toEqual(counted(400).map((handle) => ({ where: 'nic', handle })))
    expect(ports(sched)).toEqual(counted(400))
    expect(sched.datagrams() - before).toBeLessThanOrEqual(25)
  })

  test('those after a refused one are there, and each error is its own', () => {
    const sched = withClsact(true)
    sched.room = 3
    addSteer(sched.socket, pf, { ...spec, port: 2, cookie: 'f'.repeat(32) }, 'off')
    expect(addSteers(sched.socket, wanted([1, 2, 3, 4, 5]))).toEqual([
      { where: 'nic', handle: 2 },
      expect.objectContaining({ name: 'PortTaken', cookie: 'f'.repeat(32) }),
      { where: 'nic', handle: 3 },
      { where: 'nic', handle: 4 },
      expect.objectContaining({ name: 'OffloadRefused', refusal: 'ENOSPC: the table is full' }),
    ])
    expect(ports(sched)).toEqual([2, 1, 3, 4])
  })

  test('prefer: those that the NIC has no room for are in software', () => {
    const sched = withClsact(true)
    sched.room = 1
    const refusal = 'ENOSPC: the table is full'
    expect(addSteers(sched.socket, wanted([1, 2, 3], 'prefer'))).toEqual([
      { where: 'nic', handle: 1 },
      { where: 'host', refusal, handle: 2 },
      { where: 'host', refusal, handle: 3 },
    ])
  })

  test('what the kernel stored otherwise is taken away, and nothing else', () => {
    const sched = withClsact(true)
    sched.spoil = (filter) =>
      flowerOf(filter)?.TCA_FLOWER_KEY_TCP_DST === 2 ? change(filter, { TCA_FLOWER_FLAGS: skipSw }) : filter
    const [, spoilt] = addSteers(sched.socket, wanted([1, 2, 3]))
    expect(spoilt).toMatchObject({ name: 'OffloadRefused', message: /in_hw: missing/ })
    expect(ports(sched)).toEqual([1, 3])
  })

  test('what becomes of each is what becomes of it by itself', () => {
    const port = fc.integer({ min: 1, max: 6 })
    const steer = fc.record({
      ifindex: fc.constantFrom(pf, 9),
      spec: fc.record({ port, address: fc.constantFrom('10.1.0.1', 'fd00::1') }).map((more) => {
        return { ...spec, ...more, prio: more.address === '10.1.0.1' ? 10 : 11 }
      }),
      offload: fc.constantFrom<Offload>('require', 'off'),
    })
    const node = fc.record({ takes: fc.constantFrom<(true | string)[]>(true, 'no'), room: fc.nat(8) })
    fc.assert(
      fc.property(node, fc.array(steer, { maxLength: 20 }), ({ takes, room }, list) => {
        const [together, alone] = [withClsact(takes), withClsact(takes)]
        together.room = alone.room = room
        const words = (results: readonly (Outcome | Error)[]) =>
          results.map((result) => (result instanceof Error ? `${result.name} ${result.message}` : result))
        const one = (each: (typeof list)[number]) => addSteers(alone.socket, [each])
        const kept = (sched: Sched) => sched.filters.map((filter) => [filter.tcm_ifindex, conditions(filter)])
        expect(words(addSteers(together.socket, list))).toEqual(words(list.flatMap(one)))
        expect(kept(together)).toEqual(kept(alone))
        expect(words(removeSteers(together.socket, list))).toEqual(list.map(() => ({})))
        expect(together.filters).toEqual([])
      }),
    )
  })

  test('are taken back with one look at each interface, and deleted in few datagrams', () => {
    const sched = withClsact()
    addSteers(sched.socket, wanted(counted(100), 'off'))
    const [datagrams, looks] = [sched.datagrams(), sched.count(RTM.RTM_GETTFILTER)]
    expect(removeSteers(sched.socket, wanted(counted(99)))).toEqual(counted(99).map(() => ({})))
    expect(ports(sched)).toEqual([100])
    expect(sched.count(RTM.RTM_GETTFILTER) - looks).toBe(1)
    expect(sched.datagrams() - datagrams).toBeLessThanOrEqual(4)
    // One that no look shows is gone.
    expect(removeSteers(sched.socket, wanted([7, 100]))).toEqual([{}, {}])
    expect(sched.count(RTM.RTM_GETTFILTER) - looks).toBe(3)
    expect(sched.filters).toEqual([])
  })

  test('are taken back by their numbers without a look', () => {
    const sched = withClsact()
    addSteers(sched.socket, wanted([1, 2, 3], 'off'))
    const numbered = wanted([1, 2]).map((steer, at) => ({ ...steer, handle: at + 1 }))
    expect(removeSteers(sched.socket, numbered)).toEqual([{}, {}])
    expect(removeSteers(sched.socket, numbered)).toEqual([{}, {}])
    expect(sched.count(RTM.RTM_GETTFILTER)).toBe(0)
    expect(ports(sched)).toEqual([3])
    expect(removeSteers(sched.socket, [...numbered, ...wanted([3])])).toEqual([{}, {}, {}])
    expect(sched.filters).toEqual([])
  })

  test('are gone with their qdisc or interface: by their numbers that is as fine as by a look', () => {
    const sched = withClsact()
    addSteers(sched.socket, wanted([1], 'off'))
    sched.qdiscs.clear()
    sched.filters.length = 0
    const steers = wanted([1]).map((steer) => ({ ...steer, handle: 1 }))
    expect(removeSteers(sched.socket, steers)).toEqual([{}])
    const { socket } = answering(() => ({ errno: 19 }))
    expect(removeSteers(socket, steers)).toEqual([{}])
  })

  test('an answer that is lost is no refusal: the filter may be in the NIC', () => {
    for (const offload of ['prefer', 'require'] as const) {
      let sent = 0
      const socket = new NetlinkSocket({
        send: () => {
          sent++
        },
        recv: () => {
          throw Object.assign(new Error('recv'), { errno: 105 })
        },
        close: () => undefined,
      })
      const results = addSteers(socket, wanted([1, 2], offload))
      for (const result of results) expect(result).toMatchObject({ name: 'NetlinkError', code: 'ENOBUFS' })
      expect(sent).toBe(1)
    }
  })

  test('a deletion that fails is the error of that one; the others are gone', () => {
    const sched = withClsact()
    addSteers(sched.socket, wanted([1, 2, 3], 'off'))
    sched.busy = 2
    expect(removeSteers(sched.socket, wanted([1, 2, 3]))).toEqual([
      {},
      expect.objectContaining({ message: 'RTM_DELTFILTER: EBUSY' }),
      {},
    ])
    expect(() => deleteOwnFilters(sched.socket, findOwnFilters(sched.socket, prefix))).toThrow('EBUSY')
  })

  test('ours are deleted in few datagrams, those after one that is gone too', () => {
    const sched = withClsact()
    addSteers(sched.socket, wanted(counted(300), 'off'))
    const found = findOwnFilters(sched.socket, prefix)
    sched.filters.splice(5, 1)
    const before = sched.datagrams()
    deleteOwnFilters(sched.socket, found)
    expect(sched.filters).toEqual([])
    expect(sched.datagrams() - before).toBeLessThanOrEqual(5)
  })
})

function change(filter: Tc, options: { [K in keyof Flower]: Flower[K] | undefined }): Tc {
  const entries = Object.entries({ ...flowerOf(filter), ...options }).filter(
    ([, value]) => value !== undefined,
  )
  return { ...filter, TCA_OPTIONS: Object.fromEntries(entries) as Flower }
}

describe('what is asked for', () => {
  const asked = (change_: Partial<SteerSpec>) => {
    const sched = withClsact()
    addSteer(sched.socket, pf, { ...spec, ...change_ }, 'off')
    return sched.filters[0] as Tc
  }

  test('TCP over IPv4', () => {
    expect(placeOf(asked({}))).toMatchObject({
      ifindex: pf,
      parent: CLSACT_INGRESS,
      chain: 0,
      priority: 10,
      protocol: 0x0800,
    })
    expect(conditions(asked({}))).toEqual({
      TCA_FLOWER_KEY_ETH_TYPE: 0x0800,
      TCA_FLOWER_KEY_IP_PROTO: 6,
      TCA_FLOWER_KEY_IPV4_DST: '10.1.0.1',
      TCA_FLOWER_KEY_TCP_DST: 8080,
    })
  })

  test('UDP over IPv6', () => {
    const filter = asked({ address: '2001:db8::1', proto: 'udp', prio: 11 })
    expect(placeOf(filter)).toMatchObject({ priority: 11, protocol: 0x86dd })
    expect(conditions(filter)).toEqual({
      TCA_FLOWER_KEY_ETH_TYPE: 0x86dd,
      TCA_FLOWER_KEY_IP_PROTO: 17,
      TCA_FLOWER_KEY_IPV6_DST: '2001:db8::1',
      TCA_FLOWER_KEY_UDP_DST: 8080,
    })
  })

  test('in a VLAN', () => {
    const filter = asked({ vlan: 100, prio: 12 })
    expect(placeOf(filter)).toMatchObject({ priority: 12, protocol: 0x8100 })
    expect(conditions(filter)).toMatchObject({
      TCA_FLOWER_KEY_ETH_TYPE: 0x8100,
      TCA_FLOWER_KEY_VLAN_ID: 100,
      TCA_FLOWER_KEY_VLAN_ETH_TYPE: 0x0800,
    })
  })

  test('both MACs are rewritten, then the frame leaves by the same interface; each action has the cookie', () => {
    const cookie = new Uint8Array(Buffer.from(spec.cookie, 'hex'))
    const actions = actionsOf(asked({}))
    expect(actions.map(({ TCA_ACT_KIND: kind }) => kind)).toEqual(['pedit', 'mirred'])
    expect(actions.map(({ TCA_ACT_COOKIE: own }) => own)).toEqual([cookie, cookie])
    expect(actions[1]).toMatchObject({
      TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { ifindex: pf, eaction: 1, action: 4 } },
    })
  })

  test('is what tc asks for with the same words', () => {
    // flower-steer: tc filter add ... pedit of both MACs, redirect, written by tc itself.
    const theirs = tcMessage.decode(payloadOf('flower-steer'))
    const flow = flowerOf(theirs) as Flower
    const ours = asked({
      address: flow.TCA_FLOWER_KEY_IPV4_DST ?? '',
      port: flow.TCA_FLOWER_KEY_TCP_DST ?? 0,
      prio: theirs.tcm_info >>> 16,
    })
    const place = {
      tcm_ifindex: theirs.tcm_ifindex,
      tcm_handle: theirs.tcm_handle,
      tcm_info: theirs.tcm_info,
    }
    const rest = compareEcho(theirs, { ...ours, ...place })
    expect(
      rest.filter((line) => !/cookie|flags|pedit|mirred/i.test(line)),
      fixture('flower-steer').command,
    ).toEqual([])
  })
})

describe('finding and removing', () => {
  const other = { ...spec, port: 81, cookie: '76660101aabbccdd8899aabbccddeeff' }
  const foreign = { ...spec, port: 82, cookie: '0102030405060708' }

  function three(): Sched {
    const sched = withClsact()
    for (const one of [spec, other, foreign]) addSteer(sched.socket, pf, one, 'off')
    return sched
  }

  test('by the beginning of the cookie, never a stranger’s', () => {
    const sched = three()
    const found = (start: string) => findOwnFilters(sched.socket, start).map(({ cookie }) => cookie)
    expect(found(prefix)).toEqual([spec.cookie, other.cookie])
    expect(found(other.cookie)).toEqual([other.cookie])
    expect(found('7666020')).toEqual([])
    expect(findOwnFilters(sched.socket, ['7666020', other.cookie])).toHaveLength(1)
    expect(findOwnFilters(sched.socket, [])).toEqual([])
  })

  test('on every interface with clsact or ingress, and on no other', () => {
    const sched = three()
    sched.qdiscs.set(5, 'ingress')
    sched.qdiscs.set(6, 'fq_codel')
    addSteer(sched.socket, 5, spec, 'off')
    sched.qdiscs.set(7, 'clsact')
    addSteer(sched.socket, 7, spec, 'off')
    expect(findOwnFilters(sched.socket, spec.cookie).map(({ ifindex }) => ifindex)).toEqual([pf, 5, 7])
    expect([pf, 5, 6, 7, 8].map((index) => hasIngress(sched.socket, index))).toEqual([
      true,
      true,
      false,
      true,
      false,
    ])
  })

  test('a filter that a dump shows twice is one', () => {
    const sched = three()
    sched.filters.push(sched.filters[0] as Tc)
    expect(findOwnFilters(sched.socket, prefix)).toHaveLength(2)
  })

  test('one that is gone is fine, with its qdisc too', () => {
    const sched = three()
    const [first] = findOwnFilters(sched.socket, prefix)
    if (first === undefined) throw new Error('no filter')
    deleteOwnFilters(sched.socket, [first])
    deleteOwnFilters(sched.socket, [first])
    sched.qdiscs.clear()
    deleteOwnFilters(sched.socket, [first])
    expect(findOwnFilters(sched.socket, prefix)).toEqual([])
  })

  test('taking one back needs its key and its cookie', () => {
    const sched = three()
    removeSteer(sched.socket, pf, { ...spec, cookie: other.cookie })
    removeSteer(sched.socket, pf, { ...spec, port: 81 })
    removeSteer(sched.socket, pf, { ...spec, proto: 'udp' })
    expect(sched.filters).toHaveLength(3)
    removeSteer(sched.socket, pf, spec)
    expect(findOwnFilters(sched.socket, prefix).map(({ cookie }) => cookie)).toEqual([other.cookie])
  })

  test('reads what a real kernel dumps: the head of a priority, a filter with a cookie on its second action', () => {
    const dump = fixture('answer-filter-dump').messages.filter(({ type }) => type === RTM.RTM_NEWTFILTER)
    const ifindex = tcMessage.decode((dump[0] as Message).payload).tcm_ifindex
    const { socket } = answering(({ type }) => {
      if (type !== RTM.RTM_GETQDISC) return { messages: dump }
      const qdisc = { tcm_ifindex: ifindex, tcm_parent: 0xfffffff1, TCA_KIND: 'clsact' }
      return { messages: [message(RTM.RTM_NEWQDISC, qdisc)] }
    })
    expect(findOwnFilters(socket, '00112233')).toEqual([
      {
        ...{ ifindex, prio: 1, handle: 1, protocol: 0x0800, kind: 'flower', packets: 0n, inHw: false },
        cookie: '00112233445566778899aabbccddeeff',
      },
    ])
  })
})

describe('clsact', () => {
  test('one that is there serves as well', () => {
    const sched = withClsact()
    addClsact(sched.socket, pf)
    expect([...sched.qdiscs]).toEqual([[pf, 'clsact']])
  })

  test('goes when it is empty', () => {
    const sched = withClsact()
    dropEmptyClsact(sched.socket, pf)
    expect(sched.qdiscs.size).toBe(0)
    dropEmptyClsact(sched.socket, pf)
  })

  test.each([
    ['ingress', CLSACT_INGRESS],
    ['egress', CLSACT_EGRESS],
  ])('stays while a filter is on its %s side', (_, parent) => {
    const sched = withClsact()
    addSteer(sched.socket, pf, spec, 'off')
    sched.filters.push({ ...(sched.filters.pop() as Tc), tcm_parent: parent })
    dropEmptyClsact(sched.socket, pf)
    expect(sched.qdiscs.size).toBe(1)
  })

  test('is believed to be empty only after two looks', () => {
    const sched = withClsact()
    addSteer(sched.socket, pf, spec, 'off')
    const [filter] = sched.filters.splice(0)
    let looks = 0
    const kernel = answering(({ type }) => {
      if (type === RTM.RTM_GETQDISC)
        return { messages: [message(RTM.RTM_NEWQDISC, { tcm_ifindex: pf, TCA_KIND: 'clsact' })] }
      if (type !== RTM.RTM_GETTFILTER) throw new TypeError('removed')
      // The first dump loses the filter, as one does that another program's changes interrupt.
      return { messages: ++looks === 3 ? [message(RTM.RTM_NEWTFILTER, filter as Tc)] : [] }
    })
    dropEmptyClsact(kernel.socket, pf)
    expect(looks).toBe(3)
  })
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new TypeError('nothing was thrown')
}
