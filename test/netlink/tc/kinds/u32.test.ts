// Filters of the kinds u32 and basic have the bytes that tc sends.
import { describe, expect, test } from 'vitest'
import { actionList, redirectTo } from '../../../../src/netlink/tc/actions/action.ts'
import { compareEcho } from '../../../../src/netlink/tc/compare.ts'
import {
  actionsOf,
  decodeFilter,
  deleteSlot,
  flagsOf,
  isAloneInSlot,
  isInHardware,
  isSlotOnly,
  newFilter,
  placeOf,
  u32Of,
} from '../../../../src/netlink/tc/filter.ts'
import { everyPacket, TC_U32 } from '../../../../src/netlink/tc/kinds/u32.ts'
import {
  CLSACT_INGRESS,
  filterInfo,
  type Tc,
  type TcRequest,
  tcMessage,
} from '../../../../src/netlink/tc/msg.ts'
import { captured, essence, fixture, payloadOf } from '../../fixtures.ts'

const cookie = Uint8Array.of(1, 2)
const priority = 60_000
const act = (ifindex: number) => actionList([redirectTo(ifindex, cookie)])
const request = (kind: string, options: object, ifindex = 1): TcRequest => ({
  ...{ tcm_ifindex: ifindex, tcm_parent: CLSACT_INGRESS, tcm_info: filterInfo(priority, 3) },
  ...{ TCA_KIND: kind, TCA_OPTIONS: options as NonNullable<TcRequest['TCA_OPTIONS']> },
})
const dump = fixture('answer-u32-dump')
  .messages.filter(({ type }) => type === 44)
  .map(decodeFilter)
const [head, table, filter] = dump as [Tc, Tc, Tc]

describe('every packet, asked for as tc asks', () => {
  test.each([
    ['u32', { TCA_U32_ACT: act(1), TCA_U32_SEL: everyPacket, TCA_U32_FLAGS: 1 }],
    ['basic', { TCA_BASIC_ACT: act(1) }],
  ])('%s', (kind, options) => {
    expect(essence(newFilter(request(kind, options), false))).toEqual(captured(kind))
  })
})

test('the keys of a selection, and a class', () => {
  const { TCA_OPTIONS: options } = tcMessage.decode(payloadOf('u32-keys'))
  expect(options).toMatchObject({
    TCA_U32_CLASSID: 0x10005,
    TCA_U32_SEL: {
      flags: TC_U32.TC_U32_TERMINAL,
      keys: [
        { mask: 0xff000000, val: 0x0a000000, off: 16, offmask: 0 },
        { mask: 0xffff, val: 0x50, off: 0, offmask: -1 },
      ],
    },
  })
})

describe('what the kernel shows of a slot of u32', () => {
  test('its head and its hash table are no filters; the filter has its actions and flags', () => {
    expect(dump.map(isSlotOnly)).toEqual([true, true, false])
    expect(u32Of(table)).toEqual({ TCA_U32_DIVISOR: 1 })
    expect([head, table].flatMap(actionsOf)).toEqual([])
    expect(actionsOf(filter)).toMatchObject([{ TCA_ACT_KIND: 'mirred', TCA_ACT_COOKIE: cookie }])
    expect([flagsOf(filter), isInHardware(filter)]).toEqual([1 | 8, false])
  })

  test('the last filter of a slot is alone in it, whatever other slots have', () => {
    const other = (change: Partial<Tc>) => ({ ...filter, tcm_handle: 0x80000801, ...change })
    expect(isAloneInSlot(filter, dump)).toBe(true)
    expect(isAloneInSlot(filter, [...dump, other({})])).toBe(false)
    for (const change of [
      { tcm_info: filterInfo(5, 3) },
      { tcm_info: filterInfo(priority, 0x800) },
      { tcm_ifindex: 99 },
      { tcm_parent: 0xfffffff3 },
      { TCA_CHAIN: 1 },
    ])
      expect(isAloneInSlot(filter, [...dump, other(change)])).toBe(true)
  })

  test('a slot is removed by its place without a handle, but never all slots', () => {
    const sent = tcMessage.decode(deleteSlot(placeOf(filter), 'u32').payload)
    expect([sent.tcm_handle, sent.tcm_info, sent.TCA_KIND]).toEqual([0, filterInfo(priority, 3), 'u32'])
    expect(() => deleteSlot({ ...placeOf(filter), priority: 0 }, 'u32')).toThrow('all of them')
  })
})

describe('compareEcho()', () => {
  const [to] = actionsOf(filter).map(({ TCA_ACT_OPTIONS: options }) =>
    options !== undefined && 'TCA_MIRRED_PARMS' in options ? options.TCA_MIRRED_PARMS?.ifindex : undefined,
  )
  const asked = (kind: string, options: object) => request(kind, options, filter.tcm_ifindex)
  const selection = { TCA_U32_SEL: everyPacket, TCA_U32_ACT: act(to ?? 0) }

  test('finds nothing in what a kernel made of the request', () => {
    expect(compareEcho(asked('u32', { ...selection, TCA_U32_FLAGS: 1 }), filter)).toEqual([])
  })

  test.each([
    [{ ...selection, TCA_U32_FLAGS: 0 }, 'flags: asked 0, kernel has 1'],
    [{ ...selection, TCA_U32_FLAGS: 1, TCA_U32_SEL: { ...everyPacket, keys: [] } }, 'TCA_U32_SEL: asked {'],
    [{ ...selection, TCA_U32_FLAGS: 1, TCA_U32_CLASSID: 5 }, 'TCA_U32_CLASSID: asked 5'],
    [{ ...selection, TCA_U32_FLAGS: 1, TCA_U32_ACT: act(99) }, 'action 1 (mirred)'],
  ])('finds %#', (options, words) => {
    expect(compareEcho(asked('u32', options), filter)).toEqual([expect.stringContaining(words)])
  })

  test('finds a condition of basic that was not asked for', () => {
    const options = { TCA_BASIC_ACT: act(1) }
    const stored = (more: object) =>
      tcMessage.decode(tcMessage.encode({ ...request('basic', { ...options, ...more }), tcm_handle: 1 }))
    const tree = (nmatches: number) => ({
      TCA_BASIC_EMATCHES: {
        TCA_EMATCH_TREE_HDR: { nmatches, progid: 0 },
        TCA_EMATCH_TREE_LIST: new Uint8Array(4 * nmatches),
      },
    })
    // A kernel shows the empty expression.
    for (const every of [{}, tree(0)])
      expect(compareEcho(request('basic', options), stored(every))).toEqual([])
    expect(compareEcho(request('basic', options), stored(tree(1)))).toEqual([
      expect.stringContaining('TCA_BASIC_EMATCHES'),
    ])
  })
})

test.each([
  ['u32', { TCA_U32_ACT: act(1) }, 'needs TC_U32_TERMINAL'],
  ['u32', { TCA_U32_SEL: { ...everyPacket, flags: 0 }, TCA_U32_ACT: act(1) }, 'needs TC_U32_TERMINAL'],
  ['u32', { TCA_U32_SEL: everyPacket, TCA_U32_FLAGS: 3 }, 'both SKIP_HW and SKIP_SW'],
  ['u32', { TCA_U32_SEL: everyPacket, TCA_U32_ACT: [] }, 'need 1 to 32 actions'],
  ['basic', { TCA_BASIC_ACT: [] }, 'need 1 to 32 actions'],
  ['basic', { '#9': new Uint8Array(4) }, 'is unknown here'],
])('what the kernel would ignore of %s is refused: %#', (kind, options, words) => {
  expect(() => newFilter(request(kind, options))).toThrow(words)
})
