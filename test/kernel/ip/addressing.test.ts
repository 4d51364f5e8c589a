// Messages that add, read and remove addresses, routes and policy rules, in bounded time where a pod has too many.
import { describe, expect, test, vi } from 'vitest'
import {
  addressesOn,
  allRoutes,
  changeAddress,
  changeRoute,
  hasDefaultRoute,
  routesOfTable,
} from '../../../src/kernel/ip/addressing.ts'
import { changeRule, removeReplies, removeTable, sourceRules } from '../../../src/kernel/ip/policy-rules.ts'
import { log } from '../../../src/lib/log/log.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { addrMessage } from '../../../src/netlink/rtnl/addr.ts'
import { AF, RTM } from '../../../src/netlink/rtnl/const.ts'
import { type Route, routeMessage } from '../../../src/netlink/rtnl/route.ts'
import { type Rule, ruleMessage } from '../../../src/netlink/rtnl/rule.ts'
import type { RouteSpec } from '../../../src/ops/op.ts'
import { fixture, payloadOf } from '../../netlink/fixtures.ts'
import { type Answer, answering } from '../answers.ts'

const ok = () => answering(() => ({}))
const only = (asked: readonly Message[]): Message => {
  expect(asked).toHaveLength(1)
  return asked[0] as Message
}

describe('addresses', () => {
  const added = (address: string, verb: 'add' | 'del' = 'add') => {
    const { socket, asked } = ok()
    changeAddress(socket, verb, 7, address)
    const { type, payload } = only(asked)
    return { type, ...addrMessage.decode(payload) }
  }

  test.each([
    ['10.1.0.5/24', '10.1.0.255'],
    ['10.1.0.5/30', '10.1.0.7'],
    ['10.1.0.5/8', '10.255.255.255'],
    ['10.1.0.5/1', '127.255.255.255'],
    ['10.1.0.5/0', '255.255.255.255'],
    ['192.168.1.1/25', '192.168.1.127'],
    ['10.1.0.5/31', undefined],
    ['10.1.0.5/32', undefined],
    ['2001:db8::5/64', undefined],
  ])('%s has the broadcast address %s', (address, broadcast) => {
    expect(added(address).IFA_BROADCAST).toBe(broadcast)
  })

  test('are added and removed on the interface, with their prefix length', () => {
    expect(added('10.1.0.5/24')).toMatchObject({
      ...{ type: RTM.RTM_NEWADDR, ifa_family: AF.AF_INET, ifa_prefixlen: 24, ifa_index: 7 },
      ...{ IFA_LOCAL: '10.1.0.5', IFA_ADDRESS: '10.1.0.5' },
    })
    expect(added('2001:db8::5/64', 'del')).toMatchObject({
      ...{ type: RTM.RTM_DELADDR, ifa_family: AF.AF_INET6, ifa_prefixlen: 64, ifa_index: 7 },
      IFA_LOCAL: '2001:db8::5',
    })
  })

  test('are added with the attributes that ip sends', () => {
    const theirs = addrMessage.decode(payloadOf('addr-v4'))
    expect(added('10.1.0.5/24')).toMatchObject({
      IFA_LOCAL: theirs.IFA_LOCAL,
      IFA_ADDRESS: theirs.IFA_ADDRESS,
    })
    expect(addrMessage.decode(payloadOf('addr-v4-broadcast')).IFA_BROADCAST).toBe(
      added('10.1.0.5/24').IFA_BROADCAST,
    )
  })

  test('that exist already are an error, because a rollback would remove another owner’s address', () => {
    const { socket } = answering(() => ({ errno: 17 }))
    expect(() => changeAddress(socket, 'add', 7, '10.1.0.5/24')).toThrow('EEXIST')
  })

  test('of one interface are read from a real dump, with their scope', () => {
    const messages = fixture('answer-addr-dump').messages.filter(({ type }) => type === RTM.RTM_NEWADDR)
    const { socket } = answering(() => ({ messages }))
    expect(addressesOn(socket, 1)).toEqual(
      expect.arrayContaining([
        { ifindex: 1, address: '127.0.0.1/8', scope: 254 },
        { ifindex: 1, address: 'fd00::5/64', scope: 0 },
      ]),
    )
    expect(addressesOn(socket, 99)).toEqual([])
  })
})

test('IPv6 addresses are told temporary or duplicate; the same bit on a second IPv4 address means neither', () => {
  const encoded = [
    { ifa_family: AF.AF_INET6, ifa_prefixlen: 64, ifa_index: 7, ifa_flags: 1, IFA_ADDRESS: '2001:db8::1' },
    { ifa_family: AF.AF_INET6, ifa_prefixlen: 64, ifa_index: 7, IFA_FLAGS: 0x48, IFA_ADDRESS: '2001:db8::2' },
    { ifa_family: AF.AF_INET, ifa_prefixlen: 24, ifa_index: 7, IFA_FLAGS: 0x81, IFA_LOCAL: '10.1.0.2' },
  ].map((one) => ({ type: RTM.RTM_NEWADDR, payload: addrMessage.encode(one) }))
  expect(addressesOn(answering(() => ({ messages: encoded })).socket)).toEqual([
    { ifindex: 7, address: '2001:db8::1/64', scope: 0, temporary: true },
    { ifindex: 7, address: '2001:db8::2/64', scope: 0, duplicate: true },
    { ifindex: 7, address: '10.1.0.2/24', scope: 0 },
  ])
})

describe('routes', () => {
  const added = (change: Partial<RouteSpec>) => {
    const { socket, asked } = ok()
    changeRoute(socket, 'add', 7, { dst: '10.9.0.0/16', link: 'net1', ...change })
    return routeMessage.decode(only(asked).payload)
  }

  test.each<[Partial<RouteSpec>, number]>([
    [{}, 253],
    [{ gw: '10.1.0.1' }, 0],
    [{ dst: '2001:db8::/32' }, 0],
    [{ dst: '2001:db8::/32', gw: 'fe80::1' }, 0],
    [{ scope: 0 }, 0],
    [{ gw: '10.1.0.1', scope: 253 }, 253],
  ])('%j has the scope %d', (change, scope) => {
    expect(added(change).rtm_scope).toBe(scope)
  })

  test('carry every attribute of their spec', () => {
    const more = { gw: '10.1.0.1', table: 0x76660011, metric: 50, mtu: 1400, advmss: 1360, src: '10.1.0.5' }
    expect(added(more)).toMatchObject({
      ...{ rtm_family: AF.AF_INET, rtm_dst_len: 16, rtm_table: 0, rtm_protocol: 3, rtm_type: 1 },
      ...{ RTA_DST: '10.9.0.0', RTA_OIF: 7, RTA_GATEWAY: '10.1.0.1', RTA_TABLE: 0x76660011 },
      ...{ RTA_PRIORITY: 50, RTA_PREFSRC: '10.1.0.5', RTA_METRICS: { RTAX_MTU: 1400, RTAX_ADVMSS: 1360 } },
    })
  })

  test('have RTA_VIA for a gateway of the other family, and the flag onlink', () => {
    expect(added({ gw: 'fe80::1', onlink: true })).toMatchObject({ RTA_VIA: 'fe80::1', rtm_flags: 4 })
    expect(added({ gw: 'fe80::1' })).not.toHaveProperty('RTA_GATEWAY')
  })

  test('have no destination when they are default routes, and the table main when the spec names none', () => {
    const route = added({ dst: '0.0.0.0/0', gw: '10.1.0.1' })
    expect(route).not.toHaveProperty('RTA_DST')
    expect(route).not.toHaveProperty('RTA_METRICS')
    expect(route).toMatchObject({ rtm_dst_len: 0, RTA_TABLE: 254 })
    expect(added({ dst: '::/0' })).toMatchObject({ rtm_family: AF.AF_INET6, rtm_dst_len: 0 })
  })

  test('that exist already count as added, with `existed`; to remove a missing one is an error', () => {
    const spec = { dst: '10.9.0.0/16', link: 'net1' }
    expect(changeRoute(answering(() => ({ errno: 17 })).socket, 'add', 7, spec)).toEqual({ existed: true })
    expect(changeRoute(ok().socket, 'add', 7, spec)).toEqual({})
    expect(() => changeRoute(answering(() => ({ errno: 3 })).socket, 'del', 7, spec)).toThrow('ESRCH')
    expect(() =>
      changeRoute(
        answering(() => ({ errno: 101, text: 'Nexthop has invalid gateway' })).socket,
        'add',
        7,
        spec,
      ),
    ).toThrow('ENETUNREACH: Nexthop has invalid gateway')
  })

  test('are read from a real dump, with table and prefix length', () => {
    const messages = fixture('answer-route-dump').messages.filter(({ type }) => type === RTM.RTM_NEWROUTE)
    const routes = allRoutes(answering(() => ({ messages })).socket)
    expect(routes).toContainEqual(expect.objectContaining({ dst: '10.1.0.0/24', table: 254, gw: undefined }))
    for (const { dst } of routes) expect(dst).toMatch(/^[0-9a-f.:]+\/\d+$/)
  })

  test('are read with the default destination of their family, unicast ones only', () => {
    const encoded = [
      { rtm_family: AF.AF_INET, rtm_type: 1, rtm_table: 254, RTA_OIF: 7, RTA_PRIORITY: 5, rtm_scope: 253 },
      { rtm_family: AF.AF_INET6, rtm_type: 1, rtm_table: 252, RTA_TABLE: 0x76660011, RTA_GATEWAY: 'fe80::1' },
      {
        rtm_family: AF.AF_INET,
        rtm_type: 1,
        rtm_table: 254,
        rtm_flags: 4,
        RTA_VIA: 'fe80::9',
        RTA_METRICS: { RTAX_MTU: 1400, RTAX_ADVMSS: 1340 },
      },
      { rtm_family: AF.AF_INET, rtm_type: 2, rtm_table: 255, RTA_DST: '10.1.0.5', rtm_dst_len: 32 },
    ].map((route) => ({ type: RTM.RTM_NEWROUTE, payload: routeMessage.encode(route) }))
    expect(allRoutes(answering(() => ({ messages: encoded })).socket)).toEqual([
      { dst: '0.0.0.0/0', gw: undefined, ifindex: 7, table: 254, metric: 5, scope: 253 },
      { dst: '::/0', gw: 'fe80::1', ifindex: undefined, table: 0x76660011, metric: 0 },
      {
        ...{ dst: '0.0.0.0/0', gw: 'fe80::9', ifindex: undefined, table: 254, metric: 0 },
        ...{ mtu: 1400, advmss: 1340, onlink: true },
      },
    ])
  })
})

describe('policy rules', () => {
  test('that exist already count as added, and another refusal is an error', () => {
    const add = (errno: number) => () =>
      changeRule(answering(() => ({ errno })).socket, 'add', { src: '10.1.0.5', table: 77, priority: 1 })
    expect(add(17)()).toEqual({ existed: true })
    expect(add(1)).toThrow('EPERM')
  })

  test.each([
    ['10.1.0.5', AF.AF_INET, 32],
    ['2001:db8::5', AF.AF_INET6, 128],
  ])('from %s lead to their table, with their priority', (src, family, length) => {
    const { socket, asked } = ok()
    changeRule(socket, 'add', { src, table: 0x76660011, priority: 30000 })
    expect(only(asked).type).toBe(RTM.RTM_NEWRULE)
    expect(ruleMessage.decode(only(asked).payload)).toMatchObject({
      ...{ family, src_len: length, action: 1, FRA_SRC: src, FRA_TABLE: 0x76660011, FRA_PRIORITY: 30000 },
    })
  })

  test('that select by the source address alone are read, others are left out', () => {
    const plain = {
      family: AF.AF_INET,
      action: 1,
      src_len: 32,
      FRA_SRC: '10.1.0.5',
      FRA_TABLE: 100,
      FRA_PRIORITY: 9,
    }
    const rules = [
      { ...plain, FRA_SUPPRESS_PREFIXLEN: 0xffff_ffff, FRA_PROTOCOL: 4 },
      { family: AF.AF_INET, action: 1, src_len: 24, FRA_SRC: '10.1.0.0', table: 99 },
      { family: AF.AF_INET, action: 1, FRA_TABLE: 254 },
      { ...plain, action: 7 },
      { ...plain, flags: 2 },
      { ...plain, dst_len: 8, FRA_DST: '10.0.0.0' },
      { ...plain, FRA_FWMARK: 1 },
      { ...plain, FRA_IIFNAME: 'eth0' },
    ]
    const { socket, asked } = answering(() => ({
      messages: rules.map((rule) => ({ type: RTM.RTM_NEWRULE, payload: ruleMessage.encode(rule) })),
    }))
    expect(sourceRules(() => socket, 4)).toEqual([
      { src: '10.1.0.5/32', table: 100 },
      { src: '10.1.0.0/24', table: 99 },
    ])
    expect(ruleMessage.decode(only(asked).payload).family).toBe(AF.AF_INET)
  })

  /** Policy rules and routes that a request deletes. With `gone` a dump shows them, and each deletion finds nothing. */
  function tables(gone = false) {
    const rules = [
      { family: AF.AF_INET, FRA_TABLE: 77, FRA_PRIORITY: 30000, FRA_SRC: '10.1.0.5', src_len: 32 },
      { family: AF.AF_INET, FRA_TABLE: 77, FRA_PRIORITY: 100, FRA_SRC: '10.1.0.9', src_len: 32 },
      { family: AF.AF_INET, FRA_TABLE: 78, FRA_PRIORITY: 30000, FRA_SRC: '10.1.0.7', src_len: 32 },
      { family: AF.AF_INET6, FRA_TABLE: 77, FRA_PRIORITY: 30000, FRA_SRC: '2001:db8::5', src_len: 128 },
    ]
    const routes = [
      { rtm_family: AF.AF_INET, rtm_dst_len: 24, RTA_DST: '10.1.0.0', RTA_TABLE: 77, RTA_OIF: 7 },
      { rtm_family: AF.AF_INET6, rtm_dst_len: 64, RTA_DST: '2001:db8::', RTA_TABLE: 77, RTA_OIF: 7 },
      { rtm_family: AF.AF_INET, rtm_dst_len: 24, RTA_DST: '10.2.0.0', RTA_TABLE: 254, RTA_OIF: 7 },
    ]
    const answer = ({ type, payload }: Message): Answer => {
      if (type === RTM.RTM_GETROUTE) {
        const { rtm_family: family, RTA_TABLE: table } = routeMessage.decode(payload)
        const found = routes.filter((one) => one.rtm_family === family && one.RTA_TABLE === table)
        if (found.length === 0) return { errno: 2, text: 'ipv4: FIB table does not exist' }
        return {
          messages: found.map((route) => ({ type: RTM.RTM_NEWROUTE, payload: routeMessage.encode(route) })),
        }
      }
      if (type !== RTM.RTM_DELRULE && type !== RTM.RTM_DELROUTE) throw new TypeError('nothing else is read')
      if (gone) return { errno: type === RTM.RTM_DELRULE ? 2 : 3 }
      const isRule = type === RTM.RTM_DELRULE
      // The kernel deletes the first object that has all given attributes.
      const ruleAt = ({ family, FRA_TABLE, FRA_PRIORITY, FRA_SRC }: Rule) =>
        rules.findIndex(
          (one) =>
            one.family === family &&
            one.FRA_TABLE === FRA_TABLE &&
            (FRA_PRIORITY === undefined || one.FRA_PRIORITY === FRA_PRIORITY) &&
            (FRA_SRC === undefined || one.FRA_SRC === FRA_SRC),
        )
      const routeAt = ({ rtm_family, RTA_DST, RTA_TABLE }: Route) =>
        routes.findIndex(
          (one) => one.rtm_family === rtm_family && one.RTA_DST === RTA_DST && one.RTA_TABLE === RTA_TABLE,
        )
      const at = isRule ? ruleAt(ruleMessage.decode(payload)) : routeAt(routeMessage.decode(payload))
      if (at < 0) return { errno: isRule ? 2 : 3 }
      ;(isRule ? rules : routes).splice(at, 1)
      return {}
    }
    return { rules, routes, ...answering(answer) }
  }

  test('go with their table and its routes, and nothing else goes', () => {
    const { rules, routes, socket } = tables()
    removeTable(() => socket, 77, 30000)
    expect(rules.map(({ FRA_SRC: src }) => src)).toEqual(['10.1.0.9', '10.1.0.7'])
    expect(routes.map(({ RTA_DST: dst }) => dst)).toEqual(['10.2.0.0'])
    removeTable(() => socket, 77, 30000)
  })

  /** A pod with 1000 routes in each table and 1000 policy rules, each in a datagram of its own. */
  function crowded() {
    const route = { rtm_family: AF.AF_INET, rtm_dst_len: 32, rtm_type: 1, RTA_DST: '10.1.0.0', RTA_TABLE: 77 }
    const many = (type: number, payload: Uint8Array) => ({ messages: Array(1000).fill({ type, payload }) })
    return answering(({ type }) => {
      if (type === RTM.RTM_DELRULE) return { errno: 2 }
      if (type === RTM.RTM_GETROUTE) return many(RTM.RTM_NEWROUTE, routeMessage.encode(route))
      return type === RTM.RTM_GETRULE ? many(RTM.RTM_NEWRULE, ruleMessage.encode({ family: AF.AF_INET })) : {}
    })
  }

  test('go with a bounded number of routes of a table that the pod has filled, and a notice tells so', () => {
    const told = vi.spyOn(log, 'warn').mockImplementation(() => undefined)
    const { open, asked } = crowded()
    removeTable(open, 77, 30000)
    const line =
      'vf-offload: Cannot remove every route in table 77 of the pod: the pod has added more than an ADD makes'
    expect(told.mock.calls.map(([, words]) => words)).toEqual([line, line])
    expect(asked.filter(({ type }) => type === RTM.RTM_DELROUTE)).toHaveLength(32)
    told.mockRestore()
  })

  test('and routes are refused with EOVERFLOW when the pod has too many', () => {
    const { open } = crowded()
    expect(() => routesOfTable(open, 77)).toThrow(
      'RTM_GETROUTE: EOVERFLOW: more than 128 routes in table 77 exist, and no more are read',
    )
    expect(() => sourceRules(open, 4)).toThrow('EOVERFLOW: more than 128 policy rules exist')
  })

  test('a default route of IPv4 is searched in the first datagram alone', () => {
    const { open, asked } = crowded()
    expect(hasDefaultRoute(open, 4, 7)).toBe(false)
    expect(only(asked).type).toBe(RTM.RTM_GETROUTE)
  })

  test('a default route of IPv6 is found behind all others, and is undefined behind too many', () => {
    const encoded = (dst_len: number) => ({
      type: RTM.RTM_NEWROUTE,
      payload: routeMessage.encode({
        ...{ rtm_family: AF.AF_INET6, rtm_dst_len: dst_len, rtm_type: 1, RTA_OIF: 7 },
        ...(dst_len === 0 ? {} : { RTA_DST: '2001:db8::' }),
      }),
    })
    const sixty = Array(60).fill(encoded(64))
    const look = (messages: Answer['messages']) =>
      hasDefaultRoute(answering(() => ({ messages: messages ?? [] })).open, 6, 7)
    expect(look([...sixty, encoded(0)])).toBe(true)
    expect(look(sixty)).toBe(false)
    expect(hasDefaultRoute(crowded().open, 6, 7)).toBeUndefined()
  })

  test('that are gone meanwhile count as removed', () => {
    expect(() => removeTable(() => tables(true).socket, 77, 30000)).not.toThrow()
  })

  test('are not removed when the kernel refuses, which is an error', () => {
    const { socket } = answering(() => ({ errno: 1 }))
    expect(() => removeTable(() => socket, 77, 1)).toThrow('EPERM')
  })

  test('of a record are removed one by one, without a dump', () => {
    const { rules, routes, socket, asked } = tables()
    const ours = [
      { src: '10.1.0.5', table: 77, priority: 30_000 },
      { src: '2001:db8::5', table: 77, priority: 30_000 },
    ]
    const ways = [
      { dst: '10.1.0.0/24', link: 'net1', table: 77 },
      { dst: '2001:db8::/64', link: 'net1', table: 77 },
      // This route is gone with its interface.
      { dst: '0.0.0.0/0', gw: '10.1.0.1', link: 'net1', table: 77 },
      // No route of the main table is ours.
      { dst: '10.2.0.0/24', link: 'net1' },
    ]
    removeReplies(socket, ours, ways)
    expect(rules.map(({ FRA_SRC: src }) => src)).toEqual(['10.1.0.9', '10.1.0.7'])
    expect(routes.map(({ RTA_DST: dst }) => dst)).toEqual(['10.2.0.0'])
    expect(new Set(asked.map(({ type }) => type))).toEqual(new Set([RTM.RTM_DELRULE, RTM.RTM_DELROUTE]))
    removeReplies(socket, ours, ways)
    const refusing = answering(() => ({ errno: 1 }))
    expect(() => removeReplies(refusing.socket, ours, [])).toThrow('EPERM')
  })
})
