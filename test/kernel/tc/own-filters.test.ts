// Finds our own filters among foreign ones, and removes them.
import { describe, expect, test } from 'vitest'
import { hasIngress } from '../../../src/kernel/tc/clsact.ts'
import { deleteOwnFilters, findOwnFilters, findPlaced } from '../../../src/kernel/tc/own-filters.ts'
import { type Message, NLM_F } from '../../../src/netlink/message.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { placeOf } from '../../../src/netlink/tc/filter.ts'
import { CLSACT_INGRESS, filterInfo, type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { fixture } from '../../netlink/fixtures.ts'
import { answering } from '../answers.ts'
import { addFilter, pf, prefix, removeFilter, spec, withClsact } from '../flow-filter.ts'
import { message, type Sched } from '../sched.ts'

describe('own filters', () => {
  const other = { ...spec, port: 81, cookie: '76660101aabbccdd8899aabbccddeeff' }
  // A cookie is ours by its prefix, not by bytes in the middle.
  const foreign = { ...spec, port: 82, cookie: `0102${prefix}060708` }

  function three(): Sched {
    const sched = withClsact()
    for (const one of [spec, other, foreign]) addFilter(sched.socket, pf, one, 'off')
    return sched
  }

  test('are found by the prefix of the cookie, and foreign ones never are', () => {
    const sched = three()
    const found = (start: string) => findOwnFilters(sched.open, start).map(({ cookie }) => cookie)
    expect(found(prefix)).toEqual([spec.cookie, other.cookie])
    expect(found(other.cookie)).toEqual([other.cookie])
    expect(found('7666020')).toEqual([])
    expect(findOwnFilters(sched.open, ['7666020', other.cookie])).toHaveLength(1)
    expect(findOwnFilters(sched.open, [])).toEqual([])
  })

  test('are found on every interface with clsact or ingress, and on no other', () => {
    const sched = three()
    sched.qdiscs.set(5, 'ingress')
    sched.qdiscs.set(6, 'fq_codel')
    addFilter(sched.socket, 5, spec, 'off')
    sched.qdiscs.set(7, 'clsact')
    addFilter(sched.socket, 7, spec, 'off')
    expect(findOwnFilters(sched.open, spec.cookie).map(({ ifindex }) => ifindex)).toEqual([pf, 5, 7])
    expect([pf, 5, 6, 7, 8].map((index) => hasIngress(sched.socket, index))).toEqual([
      true,
      true,
      false,
      true,
      false,
    ])
  })

  test('are listed once, even if a dump shows one twice', () => {
    const sched = three()
    sched.filters.push(sched.filters[0] as Tc)
    expect(findOwnFilters(sched.open, prefix)).toHaveLength(2)
  })

  /** Priorities and protocols of the requested dumps. */
  const slotsAsked = (asked: readonly Message[]) =>
    asked
      .filter(({ type }) => type === RTM.RTM_GETTFILTER)
      .map(({ payload }) => placeOf(tcMessage.decode(payload)))
      .map(({ priority, protocol }) => `${priority} ${protocol}`)

  test('are searched in our slots alone where an interface has many filters, and not in a slot of another kind', () => {
    const u32 = (handle: number, priority: number): Tc => ({
      ...tcMessage.decode(tcMessage.encode({ tcm_ifindex: pf, tcm_parent: CLSACT_INGRESS, TCA_KIND: 'u32' })),
      ...{ tcm_handle: handle, tcm_info: filterInfo(priority, 0x0800) },
    })
    const others = [u32(0x80000800, 7), u32(0x80000801, 7), u32(0x80000802, 7)]
    const sched = three()
    sched.filters.unshift(...others, u32(0x80000803, 100))
    expect(findOwnFilters(sched.open, prefix)).toHaveLength(2)
    const asked = slotsAsked(sched.asked)
    expect(asked).toContain('0 0')
    expect(asked.filter((slot) => slot === '7 2048')).toHaveLength(1)
    // A slot with more of our own filters is read to its end.
    expect(asked.filter((slot) => slot === '10 2048')).toHaveLength(2)
    expect(asked).not.toContain('100 2048')
  })

  test('are read up to the caller’s limit, because a pod can add any number of filters like ours', () => {
    const sched = three()
    const found = (most?: number) => findOwnFilters(sched.open, prefix, undefined, most)
    expect([found(), found(2), found(1)].map((list) => list.length)).toEqual([2, 2, 1])
  })

  test('are searched in the caller’s places alone', () => {
    const sched = three()
    sched.qdiscs.set(5, 'clsact')
    addFilter(sched.socket, 5, spec, 'off')
    const at = (priority: number) =>
      findOwnFilters(sched.open, spec.cookie, [{ ifindex: 5, priorities: [priority] }])
    expect(at(spec.prio)).toMatchObject([{ ifindex: 5 }])
    const before = slotsAsked(sched.asked).length
    expect(at(11)).toEqual([])
    expect(slotsAsked(sched.asked).slice(before)).toEqual(['11 34525'])
  })

  test('are read by place and handle without a dump, and only with the same cookie', () => {
    const sched = three()
    const [first, second] = findOwnFilters(sched.open, prefix)
    if (first === undefined || second === undefined) throw new Error('no filter')
    const dumps = slotsAsked(sched.asked).length
    const moved = { ...first, cookie: second.cookie }
    const gone = { ...first, handle: 77 }
    const elsewhere = { ...first, ifindex: 99 }
    expect(findPlaced(sched.socket, [second, moved, gone, elsewhere])).toEqual([second])
    expect(slotsAsked(sched.asked.slice(0)).length - dumps).toBe(4)
    expect(sched.asked.slice(-4).every(({ flags }) => (flags & NLM_F.NLM_F_DUMP) === 0)).toBe(true)
    const refusing = answering(() => ({ errno: 1 }))
    expect(() => findPlaced(refusing.socket, [first])).toThrow('EPERM')
  })

  test('count as removed when they, or their qdisc, are gone', () => {
    const sched = three()
    const [first] = findOwnFilters(sched.open, prefix)
    if (first === undefined) throw new Error('no filter')
    deleteOwnFilters(sched.socket, [first])
    deleteOwnFilters(sched.socket, [first])
    sched.qdiscs.clear()
    deleteOwnFilters(sched.socket, [first])
    expect(findOwnFilters(sched.open, prefix)).toEqual([])
  })

  test('are removed by a rollback only with their key and cookie', () => {
    const sched = three()
    removeFilter(sched.socket, pf, { ...spec, cookie: other.cookie })
    removeFilter(sched.socket, pf, { ...spec, port: 81 })
    removeFilter(sched.socket, pf, { ...spec, proto: 'udp' })
    expect(sched.filters).toHaveLength(3)
    removeFilter(sched.socket, pf, spec)
    expect(findOwnFilters(sched.open, prefix).map(({ cookie }) => cookie)).toEqual([other.cookie])
  })

  test('are read from a real dump: the head of a priority, and a filter with a cookie on its second action', () => {
    const dump = fixture('answer-filter-dump').messages.filter(({ type }) => type === RTM.RTM_NEWTFILTER)
    const ifindex = tcMessage.decode((dump[0] as Message).payload).tcm_ifindex
    const { open } = answering(({ type }) => {
      if (type !== RTM.RTM_GETQDISC) return { messages: dump }
      const qdisc = { tcm_ifindex: ifindex, tcm_parent: 0xfffffff1, TCA_KIND: 'clsact' }
      return { messages: [message(RTM.RTM_NEWQDISC, qdisc)] }
    })
    expect(findOwnFilters(open, '00112233')).toEqual([
      {
        ...{ ifindex, prio: 1, handle: 1, protocol: 0x0800, kind: 'flower', packets: 0n, inHw: false },
        cookie: '00112233445566778899aabbccddeeff',
      },
    ])
  })
})
