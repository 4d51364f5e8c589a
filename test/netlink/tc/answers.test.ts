// The kernel's answers about filters and actions are read, with their counters.
import { describe, expect, test } from 'vitest'
import { actionMessage } from '../../../src/netlink/tc/actions/action.ts'
import { peditRewrite } from '../../../src/netlink/tc/actions/pedit.ts'
import { actionsOf, flowerOf, isInHardware, placeOf } from '../../../src/netlink/tc/filter.ts'
import { CLSACT_INGRESS, filterInfo, priorityOf, protocolOf, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { countersOf, type Stats } from '../../../src/netlink/tc/stats.ts'
import { fixture } from '../fixtures.ts'

const TC_ACT_PIPE = 3
const cookie = new Uint8Array(Buffer.from('00112233445566778899aabbccddeeff', 'hex'))

describe("the kernel's answers", () => {
  const dump = (name: string) =>
    fixture(name)
      .messages.filter(({ type }) => type === 44)
      .map(({ payload }) => tcMessage.decode(payload))

  test.each(['answer-filter-dump', 'answer-filter-dump-terse'])(
    '%s has the head of the slot and the filter with its cookie',
    (name) => {
      const [head, filter] = dump(name)
      expect(head && flowerOf(head)).toBeUndefined()
      expect(head?.tcm_handle).toBe(0)
      expect(filter && placeOf(filter)).toMatchObject({
        parent: CLSACT_INGRESS,
        chain: 0,
        priority: 1,
        handle: 1,
        protocol: 0x0800,
      })
      expect(filter && actionsOf(filter).map(({ TCA_ACT_COOKIE }) => TCA_ACT_COOKIE)).toEqual([
        undefined,
        cookie,
      ])
      expect(filter && isInHardware(filter)).toBe(false)
    },
  )

  test('a full dump has all that was asked', () => {
    const filter = dump('answer-filter-dump')[1]
    expect(filter && flowerOf(filter)).toMatchObject({
      TCA_FLOWER_KEY_IPV4_DST: '10.0.0.1',
      TCA_FLOWER_KEY_TCP_DST: 8080,
      TCA_FLOWER_FLAGS: 8,
    })
    const [pedit, redirect] = filter === undefined ? [] : actionsOf(filter)
    const { TCA_PEDIT_KEYS_EX, TCA_PEDIT_PARMS_EX } = peditRewrite(
      { ethDst: '02:00:00:00:00:05', ethSrc: '02:00:00:00:00:01' },
      TC_ACT_PIPE,
    )
    expect(pedit?.TCA_ACT_OPTIONS).toMatchObject({
      TCA_PEDIT_KEYS_EX,
      TCA_PEDIT_PARMS_EX: { keys: TCA_PEDIT_PARMS_EX?.keys },
    })
    expect(redirect?.TCA_ACT_OPTIONS).toMatchObject({ TCA_MIRRED_PARMS: { action: 4, eaction: 1 } })
    expect(redirect?.TCA_ACT_STATS && countersOf(redirect.TCA_ACT_STATS)).toEqual({
      ...{ all: { bytes: 0n, packets: 0n }, hardware: { bytes: 0n, packets: 0n }, drops: 0 },
    })
  })

  test('a dump of actions numbers them from 0', () => {
    const [message] = fixture('answer-action-dump').messages
    const { TCA_ROOT_COUNT, TCA_ROOT_TAB = [] } = actionMessage.decode(message?.payload ?? new Uint8Array())
    expect(TCA_ROOT_TAB.map(([index]) => index)).toEqual(
      Array.from({ length: TCA_ROOT_COUNT ?? 0 }, (_, i) => i),
    )
    expect(TCA_ROOT_TAB.at(-1)?.[1]).toMatchObject({
      TCA_ACT_KIND: 'gact',
      TCA_ACT_COOKIE: Uint8Array.of(1, 2),
    })
  })
})

describe('tcm_info', () => {
  test('has the priority in front and the protocol in network order', () => {
    expect(filterInfo(1, 0x0800)).toBe(0x00010008)
    expect(filterInfo(0xc000, 0x88a8)).toBe(0xc000a888)
    expect([priorityOf(0xc000a888), protocolOf(0xc000a888)]).toEqual([0xc000, 0x88a8])
  })

  test.each([
    [-1, 0],
    [65536, 0],
    [1, 65536],
    [1.5, 0],
  ])('refuses priority %d with protocol %d', (priority, protocol) => {
    expect(() => filterInfo(priority, protocol)).toThrow(RangeError)
  })
})

describe('countersOf()', () => {
  const basic = (bytes: bigint, packets: number) => ({ bytes, packets })

  test('a 64-bit count belongs to what stands before it', () => {
    const list: Stats = [
      ['TCA_STATS_BASIC', basic(1000n, 7)],
      ['TCA_STATS_PKT64', 2n ** 32n + 7n],
      ['TCA_STATS_BASIC_HW', basic(400n, 3)],
      ['TCA_STATS_PKT64', 2n ** 32n + 3n],
      ['TCA_STATS_QUEUE', { qlen: 0, backlog: 0, drops: 5, requeues: 0, overlimits: 0 }],
    ]
    expect(countersOf(list)).toEqual({
      all: { bytes: 1000n, packets: 2n ** 32n + 7n },
      hardware: { bytes: 400n, packets: 2n ** 32n + 3n },
      drops: 5,
    })
  })

  test('what is not there is 0', () => {
    const none = { bytes: 0n, packets: 0n }
    expect(countersOf([])).toEqual({ all: none, hardware: none, drops: 0 })
    expect(countersOf([['TCA_STATS_BASIC', basic(9n, 1)]])).toMatchObject({
      all: { bytes: 9n, packets: 1n },
      hardware: none,
    })
  })
})
