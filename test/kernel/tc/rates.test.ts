// Shapers, ifbs, policers and devlink rates are made, found by their marks, compared and removed.
import { describe, expect, test } from 'vitest'
import { portRatesOf, setPortRates } from '../../../src/kernel/tc/devlink-rates.ts'
import {
  addPolice,
  ifbRedirectDifferences,
  policeDifferences,
} from '../../../src/kernel/tc/matchall-filters.ts'
import {
  addIfb,
  addShaper,
  removeIfb,
  removeShaper,
  shapedBy,
  shaperOn,
} from '../../../src/kernel/tc/shapers.ts'
import {
  addMacPolicer,
  addSharedPolicer,
  removeSharedPolicer,
  sharedPolicerDifferences,
  sharedPolicersOf,
} from '../../../src/kernel/tc/shared-policers.ts'
import { fromHex } from '../../../src/lib/hex.ts'
import { devlink, devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import { ctrlMessage, GENL_ID_CTRL } from '../../../src/netlink/genl/genl.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { linkMessage } from '../../../src/netlink/rtnl/link.ts'
import {
  type Action,
  actionList,
  actionMessage,
  limitRate,
  redirectTo,
  verdict,
} from '../../../src/netlink/tc/actions/action.ts'
import type { Mirred } from '../../../src/netlink/tc/actions/mirred.ts'
import type { Police } from '../../../src/netlink/tc/actions/police.ts'
import { actionsOf, decodeFilter, flowerOf, placeOf } from '../../../src/netlink/tc/filter.ts'
import { type Tc, tcMessage } from '../../../src/netlink/tc/msg.ts'
import { tbfOptions } from '../../../src/netlink/tc/tbf.ts'
import { shaperMark } from '../../../src/ops/marks/rate-numbers.ts'
import type { MacPolicer } from '../../../src/ops/op.ts'
import { type Answer, answering } from '../answers.ts'

const cookie = '76660102aabbccdd0011223344556677'
const limit = { bytesPerSecond: 12_500_000, burst: 2_000_000 }
const handle = 0x76660000

const names = (asked: readonly Message[]) =>
  asked.map(({ type }) => Object.entries(RTM).find(([, value]) => value === type)?.[0])

describe('shapers', () => {
  const shaper = { side: 'pod', link: 'net1', ...limit, limit: 2_600_000 } as const
  const qdisc = (part: object): Answer => ({
    messages: [
      {
        type: RTM.RTM_NEWQDISC,
        payload: tcMessage.encode({
          ...{ tcm_ifindex: 3, tcm_handle: handle, tcm_parent: 0xffffffff, TCA_KIND: 'tbf' },
          TCA_OPTIONS: tbfOptions(shaper),
          ...part,
        }),
      },
    ],
  })

  test('go to the root, and never replace a configured root qdisc', () => {
    const { socket, asked } = answering(() => ({}))
    addShaper(socket, 3, shaper)
    expect(names(asked)).toEqual(['RTM_NEWQDISC'])
    expect(asked[0]?.flags).toBe(0x605)
    const taken = (there: Answer) =>
      answering(({ type }) => (type === RTM.RTM_NEWQDISC ? { errno: 17 } : there)).socket
    const other = { tcm_handle: 0x8a0000, TCA_KIND: 'htb', TCA_OPTIONS: new Uint8Array(4) }
    expect(() => addShaper(taken(qdisc(other)), 3, shaper)).toThrow(
      /EEXIST.*the interface has the root qdisc htb 8a: already$/,
    )
    expect(() => addShaper(taken(qdisc({ tcm_ifindex: 4 })), 3, shaper)).toThrow('EEXIST')
  })

  test('are found by kind, handle and place, with their rate and burst', () => {
    expect(shaperOn(answering(() => qdisc({})).socket, 3, undefined)).toEqual({ ...limit, limit: 2_600_000 })
    for (const other of [
      { tcm_handle: 0x10000 },
      { tcm_ifindex: 4 },
      { tcm_parent: 0x10000 },
      { TCA_KIND: 'fq_codel', TCA_OPTIONS: new Uint8Array(4) },
    ])
      expect(shaperOn(answering(() => qdisc(other)).socket, 3, undefined)).toBeUndefined()
  })

  test('of another attachment, or with another mark, are not this one’s', () => {
    const own = shaperMark(cookie)
    const root = (tcm_handle: number, mark: number) =>
      answering(() => qdisc({ tcm_handle, TCA_OPTIONS: tbfOptions({ ...shaper, mark }) }))
    for (const [handle, mark, isOwn] of [
      [own.handle, own.mark, true],
      // `tc qdisc change` clears the mark, and keeps the handle.
      [own.handle, 0, true],
      [own.handle, own.mark ^ 1, false],
      [own.handle + 0x10000, own.mark, false],
      [0x76660000, 0, false],
    ] as const) {
      const { socket, asked } = root(handle, mark)
      expect(shaperOn(socket, 3, cookie) !== undefined).toBe(isOwn)
      removeShaper(socket, 3, cookie)
      expect(names(asked).includes('RTM_DELQDISC')).toBe(isOwn)
      expect(shapedBy(socket, 3)).toBe(handle === 0x76660000 || mark !== 0 ? handle : undefined)
      expect(shaperOn(socket, 3, undefined) !== undefined).toBe(handle === 0x76660000)
    }
  })

  test('have marks that differ, in a range that others do not use', () => {
    const marks = Array.from({ length: 2_000 }, (_, n) => shaperMark(`${cookie.slice(0, 24)}${1e7 + n}`))
    for (const { handle, mark } of marks) {
      expect(handle >>> 16).toBeGreaterThanOrEqual(0x4000)
      expect(handle >>> 16).toBeLessThan(0x8000)
      expect([handle & 0xffff, handle === 0x76660000]).toEqual([0, false])
      // The kernel keeps the mark as 32 bits of nanoseconds, 64 to a tick.
      expect(mark).toBeGreaterThan(0)
      expect(mark).toBeLessThan(2 ** 26)
    }
    expect(new Set(marks.map(({ handle, mark }) => `${handle} ${mark}`)).size).toBe(marks.length)
    expect(new Set(marks.map(({ handle }) => handle)).size).toBeGreaterThan(1_800)
  })

  test.each([
    [2, undefined],
    [22, undefined],
    [19, undefined],
    [1, 'EPERM'],
  ])('that are removed with errno %s throw %s', (errno, thrown) => {
    const remove = () => removeShaper(answering(() => ({ errno })).socket, 3, undefined)
    if (thrown === undefined) expect(remove).not.toThrow()
    else expect(remove).toThrow(thrown)
  })
})

describe('an IFB', () => {
  const link = (kind: string): Answer => ({
    messages: [
      {
        type: RTM.RTM_NEWLINK,
        payload: linkMessage.encode({
          ifi_index: 9,
          IFLA_IFNAME: 'vfr0',
          IFLA_LINKINFO: { IFLA_INFO_KIND: kind },
        }),
      },
    ],
  })

  test('is created and set up in one request', () => {
    const { socket, asked } = answering(() => ({}))
    addIfb(socket, { name: 'vfr0', mac: '76:66:01:02:03:04', mtu: 9000 })
    expect(asked).toHaveLength(1)
    expect(linkMessage.decode(asked[0]?.payload ?? new Uint8Array())).toMatchObject({
      ...{ ifi_flags: 1, ifi_change: 1, IFLA_IFNAME: 'vfr0', IFLA_MTU: 9000 },
      IFLA_ADDRESS: '76:66:01:02:03:04',
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'ifb' },
    })
  })

  test('is removed by name, and an interface of another kind with that name stays', () => {
    const ours = answering(({ type }) => (type === RTM.RTM_GETLINK ? link('ifb') : {}))
    removeIfb(ours.socket, 'vfr0')
    expect(names(ours.asked)).toEqual(['RTM_GETLINK', 'RTM_DELLINK'])
    const foreign = answering(({ type }) => (type === RTM.RTM_GETLINK ? link('dummy') : {}))
    removeIfb(foreign.socket, 'vfr0')
    expect(names(foreign.asked)).toEqual(['RTM_GETLINK'])
    expect(() => removeIfb(answering(() => ({ errno: 19 })).socket, 'vfr0')).not.toThrow()
    expect(() => removeIfb(answering(() => ({ errno: 1 })).socket, 'vfr0')).toThrow('EPERM')
  })
})

describe('policers', () => {
  const police = { link: 'rep', ...limit, cookie }
  /** A kernel with one clsact, which refuses skip_sw with `refusal` and stores other filters with `flags`. */
  function kernel(refusal: string | undefined, extra = 0, change = (payload: Uint8Array) => payload) {
    let stored: Uint8Array | undefined
    return answering(({ type, payload }) => {
      if (type === RTM.RTM_GETTFILTER)
        return stored === undefined ? {} : { messages: [{ type: RTM.RTM_NEWTFILTER, payload: stored }] }
      if (type === RTM.RTM_DELTFILTER) return {}
      const filter = tcMessage.decode(payload)
      const flags = (filter.TCA_OPTIONS as { TCA_MATCHALL_FLAGS?: number }).TCA_MATCHALL_FLAGS ?? 0
      if (flags === 2 && refusal !== undefined) return { errno: 95, text: refusal }
      const options = { ...(filter.TCA_OPTIONS as object), TCA_MATCHALL_FLAGS: flags | extra }
      stored = change(tcMessage.encode({ ...filter, tcm_handle: 1, TCA_OPTIONS: options }))
      return {}
    })
  }

  test('of an interface are in the NIC with skip_sw, in the form that mlx5 accepts', () => {
    const { socket, asked } = kernel(undefined, 4)
    expect(addPolice(socket, 7, police, 'require')).toEqual({ where: 'nic', handle: 1 })
    const filter = decodeFilter(asked[0] as Message)
    expect(filter).toMatchObject({ tcm_ifindex: 7, tcm_info: 0x10300 })
    const [action] = actionsOf(filter)
    expect(((action?.TCA_ACT_OPTIONS ?? {}) as Police).TCA_POLICE_RESULT).toBe(-1)
    expect(action?.TCA_ACT_COOKIE).toEqual(fromHex(cookie))
  })

  test('keep the driver’s reason; prefer falls back, require does not', () => {
    const words = 'EOPNOTSUPP: only priority 1 is supported'
    const text = 'only priority 1 is supported'
    expect(addPolice(kernel(text).socket, 7, police, 'prefer')).toEqual({
      where: 'host',
      refusal: words,
      handle: 1,
    })
    expect(() => addPolice(kernel(text).socket, 7, police, 'require')).toThrow(
      expect.objectContaining({ name: 'OffloadRefused', refusal: words }),
    )
  })

  test('are removed again when the kernel stores them without in_hw, or differently', () => {
    const blind = kernel(undefined)
    expect(() => addPolice(blind.socket, 7, police, 'require')).toThrow('in_hw: missing')
    expect(names(blind.asked).at(-1)).toBe('RTM_DELTFILTER')
    const other = actionList([
      limitRate({ bytesPerSecond: 1000, burst: 2000, mtu: 65535, conform: -1 }, fromHex(cookie)),
    ])
    const altered = kernel(undefined, 0, (payload) =>
      tcMessage.encode({
        ...tcMessage.decode(payload),
        TCA_OPTIONS: { TCA_MATCHALL_ACT: other, TCA_MATCHALL_FLAGS: 1 },
      }),
    )
    expect(() => addPolice(altered.socket, 7, police, 'off')).toThrow('rate: asked 12500000, kernel has 1000')
  })

  test('that are shared have the flags of the filters that use them, and are found by cookie', () => {
    const { socket, asked } = answering(() => ({}))
    expect(addSharedPolicer(socket, { index: 9, ...limit, cookie }, 'require')).toEqual({
      where: 'nic',
      handle: 9,
    })
    const [, made] = actionMessage.decode(asked[0]?.payload ?? new Uint8Array()).TCA_ROOT_TAB?.[0] ?? []
    expect(made?.TCA_ACT_FLAGS).toEqual({ value: 4, selector: 4 })
    const dump = answering(() => ({
      messages: [
        {
          type: RTM.RTM_GETACTION,
          payload: actionMessage.encode({
            TCA_ROOT_TAB: [
              [0, limitRate({ ...limit, mtu: 65535, conform: 3, index: 9 }, fromHex(cookie))],
              [1, limitRate({ ...limit, mtu: 65535, conform: 3, index: 10 })],
            ],
          }),
        },
      ],
    }))
    expect(sharedPolicersOf(dump.socket, '766601')).toEqual([{ index: 9, cookie, ...limit, users: 0 }])
    expect(() => removeSharedPolicer(answering(() => ({ errno: 2 })).socket, 9)).not.toThrow()
    expect(() => removeSharedPolicer(answering(() => ({ errno: 1 })).socket, 9, 20)).toThrow('EPERM')
  })

  test('that are shared are removed as soon as the kernel has released the filter before', () => {
    let held = 2
    const kernel = answering(() => (held-- > 0 ? { errno: 1, text: 'Failed to delete TC action' } : {}))
    removeSharedPolicer(kernel.socket, 9)
    expect(kernel.asked).toHaveLength(3)
  })
})

describe('differences that CHECK finds', () => {
  const kernelWith = (stored: Tc | undefined) =>
    answering(() => ({
      messages: stored === undefined ? [] : [{ type: RTM.RTM_NEWTFILTER, payload: tcMessage.encode(stored) }],
    })).socket
  const filter = (prio: number, actions: readonly Action[], flags: number): Tc => ({
    ...tcMessage.decode(
      tcMessage.encode({
        ...{ tcm_ifindex: 7, tcm_parent: 0xfffffff2, tcm_handle: 1, tcm_info: prio * 65536 + 0x0300 },
        ...{ TCA_KIND: 'matchall' },
        TCA_OPTIONS: { TCA_MATCHALL_ACT: actionList(actions), TCA_MATCHALL_FLAGS: flags },
      }),
    ),
  })
  const own = fromHex(cookie)
  const lets = (mtu: number, conform: number, exceed = 2) => {
    const action = limitRate({ ...limit, mtu, conform }, own)
    const options = action.TCA_ACT_OPTIONS as Police
    if (options.TCA_POLICE_TBF === undefined) throw new TypeError('no parameters')
    return {
      ...action,
      TCA_ACT_OPTIONS: { ...options, TCA_POLICE_TBF: { ...options.TCA_POLICE_TBF, action: exceed } },
    }
  }
  const pass = verdict(0)

  test('of the policer of an interface: its verdicts, and a second action', () => {
    const police = { link: 'rep', ...limit, cookie }
    const found = (actions: readonly Action[], flags = 2 | 4) =>
      policeDifferences(kernelWith(filter(1, actions, flags)), 7, police)
    expect(found([lets(65535, -1)])).toEqual([])
    expect(found([lets(65535, -1, 3)])).toEqual([expect.stringContaining('action: asked 2, kernel has 3')])
    expect(found([lets(65535, 3)])).toEqual([
      expect.stringContaining('TCA_POLICE_RESULT: asked -1, kernel has 3'),
    ])
    expect(found([lets(65535, -1), pass])).toEqual(['number of actions: asked 1, kernel has 2'])
    expect(found([lets(65535, -1)], 2 | 8)).toEqual(['the filter is no longer in the NIC'])
    expect(policeDifferences(kernelWith(undefined), 7, police)).toBeUndefined()
    // A filter with another priority is not ours.
    expect(policeDifferences(kernelWith(filter(2, [lets(65535, -1)], 6)), 7, police)).toBeUndefined()
  })

  test('of an IFB redirect: a mirror instead, another IFB, a second action', () => {
    const detour = { side: 'host', link: 'veth1', through: 'vfr0', cookie } as const
    const found = (...actions: Action[]) =>
      ifbRedirectDifferences(kernelWith(filter(60_000, actions, 1 | 8)), 7, 9, detour)
    const copy = redirectTo(9, own)
    const parms = (copy.TCA_ACT_OPTIONS as Mirred).TCA_MIRRED_PARMS
    if (parms === undefined) throw new TypeError('no parameters')
    expect(found(redirectTo(9, own))).toEqual([])
    expect(found(redirectTo(8, own))).toEqual([expect.stringContaining('ifindex 8')])
    expect(found({ ...copy, TCA_ACT_OPTIONS: { TCA_MIRRED_PARMS: { ...parms, eaction: 2 } } })).toEqual([
      expect.stringContaining('eaction 2'),
    ])
    expect(found(redirectTo(9, own), pass)).toEqual(['number of actions: asked 1, kernel has 2'])
    expect(ifbRedirectDifferences(kernelWith(undefined), 7, 9, detour)).toBeUndefined()
  })

  test('of a shared policer: its verdicts', () => {
    const found = (conform: number, exceed: number) => {
      const action = lets(65535, conform, exceed)
      const options = action.TCA_ACT_OPTIONS as Police
      const TCA_POLICE_TBF = options.TCA_POLICE_TBF && { ...options.TCA_POLICE_TBF, index: 9 }
      const TCA_ACT_FLAGS = { value: 4, selector: 4 }
      const stored = { ...action, TCA_ACT_FLAGS, TCA_ACT_OPTIONS: { ...options, TCA_POLICE_TBF } } as Action
      const payload = actionMessage.encode({ TCA_ROOT_TAB: [[0, stored]] })
      const { socket } = answering(() => ({ messages: [{ type: RTM.RTM_GETACTION, payload }] }))
      return sharedPolicerDifferences(socket, { index: 9, ...limit, cookie })
    }
    expect(found(3, 2)).toEqual([])
    expect(found(3, 3)).toEqual([expect.stringContaining('action: asked 2, kernel has 3')])
    expect(found(0, 2)).toEqual([expect.stringContaining('TCA_POLICE_RESULT: asked 3, kernel has 0')])
  })
})

describe('MAC policers', () => {
  const meter: MacPolicer = {
    ...{ link: 'pf0', ifindex: 2, out: { link: 'rep0', ifindex: 9 }, mac: '02:00:00:00:00:05' },
    ...{ limiter: 77, cookie },
  }

  test.each([
    ['every frame, tagged or not', {}, [13, 0x0003], undefined, ['police', 'mirred']],
    ['untagged IPv4', { family: 4 }, [14, 0x0800], undefined, ['police', 'mirred']],
    ['untagged IPv6', { family: 6 }, [15, 0x86dd], undefined, ['police', 'mirred']],
    ['one VLAN, without its tag', { vlan: 20 }, [16, 0x8100], 20, ['vlan', 'police', 'mirred']],
  ] as const)('of %s are in the NIC', (_, match, [priority, protocol], vid, actions) => {
    const stored: Tc[] = []
    const { socket } = answering((request) => {
      const filter = tcMessage.decode(request.payload)
      const TCA_OPTIONS = { ...flowerOf(filter), TCA_FLOWER_FLAGS: 2 | 4 }
      stored.push({ ...filter, tcm_handle: 1, TCA_OPTIONS })
      return {
        messages: [
          { type: RTM.RTM_NEWTFILTER, payload: tcMessage.encode({ ...filter, tcm_handle: 1, TCA_OPTIONS }) },
        ],
      }
    })
    expect(addMacPolicer(socket, { ...meter, ...match })).toEqual({ where: 'nic', handle: 1 })
    const [filter] = stored
    if (filter === undefined) throw new TypeError('nothing was asked for')
    expect(placeOf(filter)).toMatchObject({ ifindex: 2, priority, protocol })
    expect(flowerOf(filter)).toMatchObject({ TCA_FLOWER_KEY_ETH_DST: meter.mac })
    expect(flowerOf(filter)?.TCA_FLOWER_KEY_VLAN_ID).toBe(vid)
    expect(flowerOf(filter)?.TCA_FLOWER_KEY_ETH_TYPE).toBe(protocol === 0x0003 ? undefined : protocol)
    expect(actionsOf(filter).map((action) => action.TCA_ACT_KIND)).toEqual(actions)
  })
})

describe('rates of a devlink port', () => {
  const port = devlink.encode({
    DEVLINK_ATTR_BUS_NAME: 'pci',
    DEVLINK_ATTR_DEV_NAME: '0000:3b:00.0',
    DEVLINK_ATTR_PORT_INDEX: 65539,
  })
  const route = (attributes: object) =>
    answering(() => ({
      messages: [{ type: RTM.RTM_NEWLINK, payload: linkMessage.encode({ ifi_index: 7, ...attributes }) }],
    })).socket
  const generic = (answer: Answer) =>
    answering(({ type }) =>
      type === GENL_ID_CTRL
        ? { messages: [{ type, payload: ctrlMessage.encode({ cmd: 1, CTRL_ATTR_FAMILY_ID: 21 }) }] }
        : answer,
    )
  const leaf: Answer = {
    messages: [
      {
        type: 21,
        payload: devlinkMessage.encode({
          cmd: 74,
          DEVLINK_ATTR_RATE_TX_MAX: 125_000n,
          DEVLINK_ATTR_RATE_TX_SHARE: 0n,
        }),
      },
    ],
  }

  test('are read from the port of the interface', () => {
    expect(portRatesOf(route({ IFLA_DEVLINK_PORT: port }), generic(leaf).socket, 7)).toEqual({
      ...{ handle: 'pci/0000:3b:00.0/65539', max: 125_000, share: 0 },
    })
  })

  test('are undefined for an interface without a port, and for a driver without rates', () => {
    expect(portRatesOf(route({}), generic(leaf).socket, 7)).toBeUndefined()
    // The kernel sends an empty nest for every interface without a port.
    const none = { IFLA_DEVLINK_PORT: new Uint8Array() }
    expect(portRatesOf(route(none), generic(leaf).socket, 7)).toBeUndefined()
    expect(portRatesOf(route({ IFLA_DEVLINK_PORT: port }), generic({ errno: 95 }).socket, 7)).toBeUndefined()
    expect(() => portRatesOf(route({ IFLA_DEVLINK_PORT: port }), generic({ errno: 1 }).socket, 7)).toThrow(
      'EPERM',
    )
  })

  test('are set where they differ, and a refusal keeps the driver’s reason', () => {
    const taken = generic({})
    setPortRates(taken.socket, 'pci/0000:3b:00.0/65539', { max: 125_000, share: 5 }, { max: 0, share: 5 })
    const sent = devlinkMessage.decode(taken.asked[1]?.payload ?? new Uint8Array())
    expect(sent).toMatchObject({
      cmd: 75,
      DEVLINK_ATTR_PORT_INDEX: 65539,
      DEVLINK_ATTR_RATE_TX_MAX: 125_000n,
    })
    expect(sent.DEVLINK_ATTR_RATE_TX_SHARE).toBeUndefined()
    const text = 'TX rate value not in link rate units of 1 mbps'
    expect(() =>
      setPortRates(
        generic({ errno: 22, text }).socket,
        'pci/0000:3b:00.0/1',
        { max: 1, share: 0 },
        { max: 0, share: 0 },
      ),
    ).toThrow(expect.objectContaining({ name: 'OffloadRefused', refusal: `EINVAL: ${text}` }))
  })
})
