// Messages of addresses and routes have the bytes that ip sends.
import { describe, expect, test } from 'vitest'
import {
  addrMessage,
  decodeAddr,
  deleteAddr,
  dumpAddrs,
  IFA_F,
  newAddr,
} from '../../../src/netlink/rtnl/addr.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import {
  decodeRoute,
  deleteRoute,
  dumpRoutes,
  newRoute,
  RT_SCOPE,
  RT_TABLE,
  RTN,
  RTNH_F,
  RTPROT,
  routeMessage,
  tableOf,
} from '../../../src/netlink/rtnl/route.ts'
import { captured, essence, fixture, payloadOf } from '../fixtures.ts'

const { AF_INET, AF_INET6 } = AF
const answers = (name: string, type: number) =>
  fixture(name).messages.filter((message) => message.type === type)

describe('addresses', () => {
  const v4 = {
    ifa_family: AF_INET,
    ifa_prefixlen: 24,
    ifa_index: 1,
    IFA_LOCAL: '10.1.0.5',
    IFA_ADDRESS: '10.1.0.5',
  }
  const v6 = { ifa_family: AF_INET6, ifa_prefixlen: 64, ifa_index: 1 }
  const { IFA_F_NODAD, IFA_F_NOPREFIXROUTE } = IFA_F
  const lifetimes = { ifa_prefered: 300, ifa_valid: 600, cstamp: 0, tstamp: 0 }
  test.each([
    ['addr-v4', newAddr(v4)],
    [
      'addr-v4-broadcast',
      newAddr({
        ...{ ifa_family: AF_INET, ifa_prefixlen: 24, ifa_scope: 253, ifa_index: 1, IFA_LOCAL: '10.1.0.5' },
        ...{ IFA_LABEL: 'lo:1', IFA_ADDRESS: '10.1.0.5', IFA_BROADCAST: '10.1.0.255' },
      }),
    ],
    ['addr-v4-peer', newAddr({ ...v4, ifa_prefixlen: 32, IFA_ADDRESS: '10.1.0.6' })],
    [
      'addr-v6',
      newAddr({
        ...v6,
        IFA_LOCAL: 'fd00::5',
        IFA_FLAGS: IFA_F_NODAD | IFA_F_NOPREFIXROUTE,
        IFA_ADDRESS: 'fd00::5',
      }),
    ],
    [
      'addr-v6-lifetimes',
      newAddr({
        ...v6,
        IFA_LOCAL: 'fd00::5',
        IFA_RT_PRIORITY: 50,
        IFA_PROTO: 16,
        IFA_ADDRESS: 'fd00::5',
        IFA_CACHEINFO: lifetimes,
      }),
    ],
    ['addr-del', deleteAddr(v4)],
  ])('%s is what ours sends', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  test('a dump can be of one device', () => {
    expect(addrMessage.decode(payloadOf('addr-dump'))).toEqual(
      addrMessage.decode(dumpAddrs({ ifa_index: 1 }).payload),
    )
  })

  test("the kernel's own", () => {
    const all = answers('answer-addr-dump', 20).map(decodeAddr)
    expect(all.map(({ IFA_ADDRESS, ifa_prefixlen }) => `${IFA_ADDRESS}/${ifa_prefixlen}`).sort()).toEqual([
      '127.0.0.1/8',
      '::1/128',
      'fd00::5/64',
    ])
    expect(all.find(({ ifa_family }) => ifa_family === AF_INET)).toMatchObject({
      IFA_LOCAL: '127.0.0.1',
      IFA_LABEL: 'lo',
    })
    expect(all.find(({ IFA_ADDRESS }) => IFA_ADDRESS === 'fd00::5')?.IFA_CACHEINFO).toMatchObject({
      ifa_valid: 0xffffffff,
    })
  })
})

describe('routes', () => {
  const { RT_TABLE_MAIN, RT_TABLE_UNSPEC } = RT_TABLE
  const { RT_SCOPE_LINK, RT_SCOPE_NOWHERE } = RT_SCOPE
  const main = {
    rtm_family: AF_INET,
    rtm_table: RT_TABLE_MAIN,
    rtm_protocol: RTPROT.RTPROT_BOOT,
    rtm_type: RTN.RTN_UNICAST,
  }
  const to = { ...main, rtm_dst_len: 16, RTA_DST: '10.2.0.0' }
  const onlink = { ...to, rtm_protocol: RTPROT.RTPROT_STATIC, rtm_flags: RTNH_F.RTNH_F_ONLINK }
  const hop = { rtnh_flags: 0, rtnh_hops: 0, rtnh_ifindex: 1 }
  test.each([
    ['route-default', newRoute({ ...main, RTA_GATEWAY: '10.1.0.1', RTA_OIF: 1 })],
    [
      'route-onlink-src',
      newRoute({ ...onlink, RTA_GATEWAY: '10.1.0.1', RTA_PREFSRC: '10.1.0.5', RTA_OIF: 1 }),
    ],
    [
      'route-table',
      newRoute({
        ...main,
        rtm_table: RT_TABLE_UNSPEC,
        RTA_GATEWAY: '10.1.0.1',
        RTA_TABLE: 1000,
        RTA_PRIORITY: 50,
        RTA_OIF: 1,
      }),
    ],
    [
      'route-v6',
      newRoute({
        ...main,
        rtm_family: AF_INET6,
        rtm_dst_len: 64,
        RTA_DST: 'fd01::',
        RTA_GATEWAY: 'fe80::1',
        RTA_PREF: 1,
        RTA_OIF: 1,
      }),
    ],
    ['route-via-v6', newRoute({ ...to, RTA_VIA: 'fe80::1', RTA_OIF: 1 })],
    [
      'route-multipath',
      newRoute({
        ...to,
        RTA_MULTIPATH: [
          { ...hop, rtnh_hops: 1, RTA_GATEWAY: '10.1.0.1' },
          { ...hop, rtnh_flags: 4, RTA_GATEWAY: '10.1.0.2' },
        ],
      }),
    ],
    [
      'route-blackhole',
      newRoute({ ...main, rtm_type: RTN.RTN_BLACKHOLE, rtm_dst_len: 16, RTA_DST: '10.3.0.0' }),
    ],
    ['route-scope-link', newRoute({ ...to, rtm_scope: RT_SCOPE_LINK, RTA_DST: '10.4.0.0', RTA_OIF: 1 })],
    [
      'route-del',
      deleteRoute({
        rtm_family: AF_INET,
        rtm_dst_len: 16,
        rtm_scope: RT_SCOPE_NOWHERE,
        RTA_DST: '10.2.0.0',
        RTA_TABLE: 1000,
      }),
    ],
  ])('%s is what ours sends', (name, request) => {
    expect(essence(request)).toEqual(captured(name))
  })

  // iproute2 writes the name of the algorithm without the ending zero: the same value in other bytes.
  test('route-metrics is what ours means', () => {
    const request = newRoute({
      ...{ ...to, rtm_scope: RT_SCOPE_LINK, RTA_OIF: 1 },
      RTA_METRICS: {
        RTAX_MTU: 1400,
        RTAX_ADVMSS: 1360,
        RTAX_INITCWND: 20,
        RTAX_CC_ALGO: 'cubic',
        RTAX_LOCK: 1 << 2,
      },
    })
    expect({ ...essence(request), payload: [] }).toEqual({ ...captured('route-metrics'), payload: [] })
  })

  test('a dump can be of one table', () => {
    expect(routeMessage.decode(payloadOf('route-dump'))).toEqual(
      routeMessage.decode(dumpRoutes({ rtm_family: AF_INET, RTA_TABLE: 1000 }).payload),
    )
  })

  test("the kernel's own", () => {
    const lan = answers('answer-route-dump', 24).map(decodeRoute)
    expect(lan.map(tableOf)).toEqual(lan.map(() => RT_TABLE_MAIN))
    expect(lan.find(({ RTA_DST }) => RTA_DST === '10.2.0.0')?.RTA_MULTIPATH).toEqual([
      { rtnh_flags: 0, rtnh_hops: 1, rtnh_ifindex: 2, RTA_GATEWAY: '10.1.0.2' },
      { rtnh_flags: 0, rtnh_hops: 0, rtnh_ifindex: 2, RTA_GATEWAY: '10.1.0.3' },
    ])
    expect(lan.find(({ RTA_DST }) => RTA_DST === '10.3.0.0')).toMatchObject({
      rtm_family: AF_INET,
      RTA_VIA: 'fe80::1',
      RTA_OIF: 2,
    })
  })

  test('next hops that are too short or too long are refused', () => {
    const good = routeMessage.encode({ RTA_MULTIPATH: [{ ...hop, RTA_GATEWAY: '10.1.0.1' }] })
    for (const length of [0, 7, 17, 255]) {
      const bad = good.slice()
      bad[12 + 4] = length
      expect(() => routeMessage.decode(bad)).toThrow('Cannot decode RTA_MULTIPATH > rtnexthop: it says')
    }
  })

  test('a gateway of a family other than it says is refused', () => {
    const good = routeMessage.encode({ RTA_VIA: '10.0.0.1' })
    expect(routeMessage.decode(good).RTA_VIA).toBe('10.0.0.1')
    good[12 + 4] = 10
    expect(() => routeMessage.decode(good)).toThrow('Cannot decode RTA_VIA > rtvia: family 10 with 4 bytes')
  })
})
