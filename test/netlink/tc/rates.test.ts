// Messages of shapers and policers have the bytes that tc sends, with its rounding.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRate, devlinkMessage, getRate, setRate } from '../../../src/netlink/genl/devlink.ts'
import { newLink } from '../../../src/netlink/rtnl/link.ts'
import {
  type Action,
  actionList,
  actionMessage,
  decodeActions,
  deleteAction,
  dumpActions,
  getAction,
  limitByIndex,
  limitRate,
  newActions,
  redirectTo,
} from '../../../src/netlink/tc/actions/action.ts'
import { TC_ACT } from '../../../src/netlink/tc/actions/gact.ts'
import {
  bytesOfTicks,
  type Police,
  policer,
  rateOf,
  rateSpec,
  ticksOf,
} from '../../../src/netlink/tc/actions/police.ts'
import { compareEcho } from '../../../src/netlink/tc/compare.ts'
import { actionsOf, newFlower, newMatchall } from '../../../src/netlink/tc/filter.ts'
import { type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { deleteRootQdisc, newTbf, tbfOf } from '../../../src/netlink/tc/qdisc.ts'
import { type Tbf, tbfOptions } from '../../../src/netlink/tc/tbf.ts'
import { captured, essence, fixture, payloadOf } from '../fixtures.ts'

const { TC_ACT_PIPE, TC_ACT_UNSPEC, TC_ACT_SHOT } = TC_ACT
const cookie = Uint8Array.of(1, 2)
const mbit = 125_000
const handle = 0x76660000

const optionsOf = (action: Action | undefined): Police => (action?.TCA_ACT_OPTIONS ?? {}) as Police

/** iproute2's rate table and how it is laid out, which the kernel checks and uses for nothing. */
function withoutTable(options: Police): Police {
  const { TCA_POLICE_RATE: table, TCA_POLICE_TBF: parms, ...rest } = options
  expect(table).toHaveLength(1024)
  return {
    ...rest,
    ...(parms === undefined ? {} : { TCA_POLICE_TBF: { ...parms, rate: { ...parms.rate, cell_log: 3 } } }),
  }
}

describe('policers', () => {
  test('a filter with its own, as tc makes it', () => {
    const [theirs] = actionsOf(tcMessage.decode(payloadOf('matchall-police')))
    const spec = { bytesPerSecond: 100 * mbit, burst: 2 << 20, mtu: 65535, conform: TC_ACT_UNSPEC }
    const request = newMatchall(
      { ifindex: 1, priority: 1, protocol: 3 },
      { TCA_MATCHALL_ACT: actionList([limitRate(spec, cookie)]), TCA_MATCHALL_FLAGS: 2 },
    )
    const [ours] = actionsOf(tcMessage.decode(request.payload))
    expect(withoutTable(ours?.TCA_ACT_OPTIONS as Police)).toEqual(
      withoutTable(theirs?.TCA_ACT_OPTIONS as Police),
    )
    expect(ours?.TCA_ACT_COOKIE).toEqual(theirs?.TCA_ACT_COOKIE)
  })

  test('one that filters share, with a rate of more than 32 bits', () => {
    const spec = {
      bytesPerSecond: 400_000 * mbit,
      burst: 1 << 30,
      mtu: 65535,
      conform: TC_ACT_PIPE,
      index: 9,
    }
    const [ours] = decodeActions({ ...newActions([limitRate(spec, cookie)]), seq: 0, pid: 0 })
    const [[, theirs]] = actionMessage.decode(payloadOf('action-add-police')).TCA_ROOT_TAB as [
      [number, Action],
    ]
    expect(withoutTable(ours?.TCA_ACT_OPTIONS as Police)).toEqual(
      withoutTable(theirs.TCA_ACT_OPTIONS as Police),
    )
    expect(rateOf({ rate: 0xffffffff }, optionsOf(ours).TCA_POLICE_RATE64)).toBe(50e9)
  })

  test.each([
    ['action-del', deleteAction('police', 9)],
    ['action-get', getAction('police', 9)],
  ])('%s', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test('action-dump', () => {
    expect(dumpActions('police').payload).toEqual(payloadOf('action-dump'))
  })

  test('by index: the filter says nothing else of it', () => {
    const request = newFlower(
      { ifindex: 1, priority: 4, protocol: 3 },
      {
        TCA_FLOWER_KEY_ETH_DST: '02:00:00:00:00:05',
        TCA_FLOWER_KEY_ETH_DST_MASK: 'ff:ff:ff:ff:ff:ff',
        TCA_FLOWER_ACT: actionList([limitByIndex(9), redirectTo(1)]),
        TCA_FLOWER_FLAGS: 0,
      },
      false,
    )
    const theirs = tcMessage.decode(payloadOf('flower-police-index'))
    const [police] = actionsOf(theirs)
    // tc sends the verdict for what exceeds, which the kernel does not take from here.
    const parms = optionsOf(police).TCA_POLICE_TBF as { action: number }
    parms.action = TC_ACT_SHOT
    expect(tcMessage.decode(request.payload)).toEqual(theirs)
  })

  test('the kernel shows the one that was made', () => {
    const [message] = fixture('answer-police-dump').messages
    const [action] = message === undefined ? [] : decodeActions(message)
    const { TCA_POLICE_TBF: parms, TCA_POLICE_RESULT } = optionsOf(action)
    expect(parms).toMatchObject({ index: 9, action: TC_ACT_SHOT, burst: 2621440, mtu: 65535 })
    expect(parms?.rate).toMatchObject({ rate: 100 * mbit, linklayer: 1 })
    expect(TCA_POLICE_RESULT).toBe(TC_ACT_PIPE)
    expect(bytesOfTicks(parms?.burst ?? 0, 100 * mbit)).toBe(2 << 20)
  })

  test('compareEcho() sees another rate, burst, length or verdict, and not the lost table', () => {
    const stored = tcMessage.decode(
      fixture('answer-police-filter-dump').messages[1]?.payload ?? new Uint8Array(),
    )
    const asked = (part: object, extra: object = {}): Tc => ({
      ...stored,
      TCA_OPTIONS: {
        TCA_MATCHALL_ACT: actionList([
          limitRate({
            bytesPerSecond: 100 * mbit,
            burst: 2 << 20,
            mtu: 65535,
            conform: TC_ACT_UNSPEC,
            ...part,
          }),
        ]),
        ...extra,
      },
    })
    expect(compareEcho(asked({}), stored)).toEqual([])
    expect(compareEcho(asked({ bytesPerSecond: 99 * mbit, burst: 2076180 }), stored)).toEqual([
      'action 1 (police) rate: asked 12375000, kernel has 12500000',
    ])
    expect(compareEcho(asked({ burst: 1 << 20, mtu: 1500, conform: TC_ACT_PIPE }), stored)).toEqual([
      'action 1 (police) TCA_POLICE_RESULT: asked 3, kernel has -1',
      'action 1 (police) burst: asked 1310720, kernel has 2621440',
      'action 1 (police) mtu: asked 1500, kernel has 65535',
    ])
    const byIndex = { ...stored, TCA_OPTIONS: { TCA_MATCHALL_ACT: actionList([limitByIndex(3)]) } }
    expect(compareEcho(byIndex, stored)).toEqual(['action 1 (police) index: asked 3, kernel has 1'])
  })
})

describe('tbf', () => {
  const theirs = (name: string): Tbf => {
    const { TCA_TBF_RTAB, TCA_TBF_PARMS, ...rest } = tbfOf(tcMessage.decode(payloadOf(name))) as Tbf
    expect(TCA_TBF_RTAB).toHaveLength(1024)
    const parms = TCA_TBF_PARMS as NonNullable<typeof TCA_TBF_PARMS>
    return { ...rest, TCA_TBF_PARMS: { ...parms, rate: { ...parms.rate, cell_log: 3 } } }
  }

  // With a rate of more than 32 bits tc itself counts the buffer by what is left of it: the kernel goes by BURST.
  test.each([
    ['qdisc-tbf', { bytesPerSecond: 100 * mbit, burst: 128 << 10, limit: 400 << 10 }],
    ['qdisc-tbf-rate64', { bytesPerSecond: 400_000 * mbit, burst: 50 << 20, limit: 100 << 20 }],
  ])('%s, without the table that the kernel does not need', (name, spec) => {
    const request = newTbf(1, handle, spec)
    const value = tcMessage.decode(request.payload)
    const expected = theirs(name)
    if (spec.bytesPerSecond > 0xffffffff) Object.assign(expected.TCA_TBF_PARMS ?? {}, { buffer: 16384 })
    expect(tbfOf(value)).toEqual(expected)
    expect(value).toMatchObject({ tcm_ifindex: 1, tcm_handle: handle, tcm_parent: 0xffffffff })
  })

  test('qdisc-del-root', () => {
    expect(essence(deleteRootQdisc(1, handle))).toEqual(captured('qdisc-del-root'))
  })

  test('the kernel shows the one that was made, and others by their kind only', () => {
    const qdiscs = fixture('answer-tbf-dump')
      .messages.filter(({ type }) => type === 36)
      .map(({ payload }) => tcMessage.decode(payload))
    const [made] = qdiscs.filter((qdisc) => tbfOf(qdisc) !== undefined)
    expect(made).toMatchObject({ tcm_handle: handle, TCA_KIND: 'tbf' })
    const options = made && tbfOf(made)
    expect(rateOf(options?.TCA_TBF_PARMS?.rate ?? { rate: 0 }, options?.TCA_TBF_RATE64)).toBe(5e9)
    expect(options?.TCA_TBF_PARMS).toMatchObject({ limit: 100 << 20, buffer: 26214 })
    expect(qdiscs.length).toBeGreaterThan(1)
  })
})

test('ifb', () => {
  const request = newLink({
    IFLA_IFNAME: 'rate0',
    IFLA_MTU: 9000,
    IFLA_TXQLEN: 100,
    IFLA_LINKINFO: { IFLA_INFO_KIND: 'ifb' },
  })
  const [theirs] = fixture('link-add-ifb').messages
  expect(essence(request)).toMatchObject({ type: 'RTM_NEWLINK' })
  expect(theirs && (essence(theirs) as { value: object }).value).toEqual(
    (essence(request) as { value: object }).value,
  )
})

describe('rates and ticks', () => {
  const rate = fc.integer({ min: 1000, max: 50_000_000_000 })
  const burst = fc.integer({ min: 1, max: 0xffffffff })

  test('a rate comes back from the struct and its 64-bit attribute', () => {
    fc.assert(
      fc.property(rate, (bytesPerSecond) => {
        const { spec, rate64 } = rateSpec(bytesPerSecond)
        expect(rateOf(spec, rate64)).toBe(bytesPerSecond)
        expect(spec.rate).toBeLessThanOrEqual(0xffffffff)
      }),
      { seed: 1 },
    )
  })

  test('ticks are never short of the bytes that they stand for, and never a tick too long', () => {
    fc.assert(
      fc.property(rate, burst, (bytesPerSecond, size) => {
        const ticks = ticksOf(size, bytesPerSecond)
        expect(bytesOfTicks(ticks, bytesPerSecond)).toBeGreaterThanOrEqual(size - 1)
        expect(bytesOfTicks(ticks - 1, bytesPerSecond)).toBeLessThanOrEqual(size)
      }),
      { seed: 2 },
    )
  })

  test('a burst whose ticks would wrap is refused, not sent', () => {
    fc.assert(
      fc.property(rate, burst, (bytesPerSecond, size) => {
        const fits = ticksOf(size, bytesPerSecond) <= 0xffffffff
        const spec = { bytesPerSecond, burst: size, mtu: 65535, conform: TC_ACT_PIPE }
        for (const make of [
          () => policer(spec),
          () => tbfOptions({ bytesPerSecond, burst: size, limit: 1 }),
        ]) {
          if (fits) expect(make).not.toThrow()
          else expect(make).toThrow('is more than 32 bits of ticks')
        }
      }),
      { seed: 3 },
    )
  })

  test.each([0, -1, 0.5, 2 ** 60, Number.NaN])('%s is no rate', (value) => {
    expect(() => rateSpec(value)).toThrow(RangeError)
  })
})

describe('rates of a devlink port', () => {
  test('are asked for and set by the port', () => {
    expect(devlinkMessage.decode(getRate(21, 'pci', '0000:3b:00.0', 65539).payload)).toEqual({
      ...{ cmd: 74, version: 1, reserved: 0 },
      DEVLINK_ATTR_BUS_NAME: 'pci',
      DEVLINK_ATTR_DEV_NAME: '0000:3b:00.0',
      DEVLINK_ATTR_PORT_INDEX: 65539,
    })
    const set = setRate(21, 'pci', '0000:3b:00.0', 65539, { max: 12_500_000n })
    expect(set).toMatchObject({ name: 'DEVLINK_CMD_RATE_SET', type: 21, flags: 0 })
    expect(devlinkMessage.decode(set.payload)).toEqual({
      ...{ cmd: 75, version: 1, reserved: 0 },
      DEVLINK_ATTR_BUS_NAME: 'pci',
      DEVLINK_ATTR_DEV_NAME: '0000:3b:00.0',
      DEVLINK_ATTR_PORT_INDEX: 65539,
      DEVLINK_ATTR_RATE_TX_MAX: 12_500_000n,
    })
    const both = setRate(21, 'pci', '0000:3b:00.0', 65539, { share: 5n, max: 0n })
    expect(devlinkMessage.decode(both.payload)).toMatchObject({
      DEVLINK_ATTR_RATE_TX_SHARE: 5n,
      DEVLINK_ATTR_RATE_TX_MAX: 0n,
    })
  })

  test('an answer has both, or none', () => {
    const message = (value: object) => ({
      ...{ type: 21, flags: 0, seq: 0, pid: 0 },
      payload: devlinkMessage.encode({ cmd: 74, version: 1, ...value }),
    })
    expect(
      decodeRate(message({ DEVLINK_ATTR_RATE_TX_SHARE: 1n, DEVLINK_ATTR_RATE_TX_MAX: 12_500_000n })),
    ).toEqual({ share: 1n, max: 12_500_000n })
    expect(decodeRate(message({}))).toEqual({ share: 0n, max: 0n })
  })
})
