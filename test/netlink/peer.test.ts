// A decoder that is not ours reads what our codecs write: npm `netlink` (node_netlink). It knows fewer attributes and
// leaves some as bytes, so the comparison is of those that it names.
import rt from 'netlink/dist/rt/structs.js'
import { describe, expect, test } from 'vitest'
import { ipToBytes } from '../../src/lib/ip.ts'
import { macToBytes } from '../../src/lib/mac.ts'
import { addrMessage } from '../../src/netlink/rtnl/addr.ts'
import { type LinkRequest, linkMessage } from '../../src/netlink/rtnl/link.ts'
import { routeMessage } from '../../src/netlink/rtnl/route.ts'
import { ruleMessage } from '../../src/netlink/rtnl/rule.ts'
import { fixtures, payloadsOf } from './fixtures.ts'

const ip = (text: string) => Buffer.from(ipToBytes(text))
const mac = (text: string) => Buffer.from(macToBytes(text))
const u32 = (...values: number[]) => Buffer.from(new Uint32Array(values).buffer)

describe('npm netlink reads our', () => {
  test('link', () => {
    const value: LinkRequest = {
      ...{
        ifi_type: 1,
        ifi_index: 5,
        ifi_flags: 1,
        ifi_change: 1,
        IFLA_ADDRESS: '02:00:00:00:00:01',
        IFLA_IFNAME: 'net1',
      },
      ...{
        IFLA_MTU: 1400,
        IFLA_TXQLEN: 500,
        IFLA_OPERSTATE: 6,
        IFLA_GROUP: 7,
        IFLA_PROMISCUITY: 2,
        IFLA_CARRIER: 1,
        IFLA_NUM_VF: 4,
      },
      ...{ IFLA_NUM_TX_QUEUES: 8, IFLA_MIN_MTU: 68, IFLA_MAX_MTU: 9216, IFLA_CARRIER_UP_COUNT: 3 },
    }
    const { data, attrs } = rt.parseLinkMessage(Buffer.from(linkMessage.encode(value)))
    expect(data).toMatchObject({
      family: 0,
      type: 'ETHER',
      index: 5,
      flags: { up: true },
      change: { up: true },
    })
    expect(attrs).toMatchObject({
      ...{
        address: mac('02:00:00:00:00:01'),
        ifname: 'net1',
        mtu: 1400,
        txqlen: 500,
        operstate: 6,
        group: 7,
        promiscuity: 2,
      },
      ...{ carrier: 1, numVf: 4, numTxQueues: 8, minMtu: 68, maxMtu: 9216, carrierUpCount: 3 },
    })
  })

  test('VF list', () => {
    const info = (vf: number) => ({
      IFLA_VF_MAC: { vf, mac: '02:00:00:00:00:01' },
      IFLA_VF_VLAN: { vf, vlan: 100, qos: 3 },
      IFLA_VF_RATE: { vf, min_tx_rate: 1, max_tx_rate: 100000 },
      IFLA_VF_TRUST: { vf, setting: 0xffffffff },
    })
    const { attrs } = rt.parseLinkMessage(
      Buffer.from(linkMessage.encode({ IFLA_VFINFO_LIST: [0, 1, 2].map(info) })),
    )
    const list = (attrs.vfinfoList as { x: readonly Record<string, unknown>[] } | undefined)?.x
    expect(list).toEqual(
      [0, 1, 2].map((vf) => ({
        mac: Buffer.concat([u32(vf), mac('02:00:00:00:00:01'), Buffer.alloc(26)]),
        ...{ vlan: u32(vf, 100, 3), rate: u32(vf, 1, 100000), trust: u32(vf, 0xffffffff) },
      })),
    )
  })

  test.each([
    [2, 24, '10.1.0.5'],
    [10, 64, 'fd00::5'],
  ])('address of family %i', (family, prefix, address) => {
    const value = {
      ifa_family: family,
      ifa_prefixlen: prefix,
      ifa_scope: 253,
      ifa_index: 3,
      IFA_LOCAL: address,
      IFA_ADDRESS: address,
    }
    const more = {
      IFA_RT_PRIORITY: 50,
      IFA_CACHEINFO: { ifa_prefered: 300, ifa_valid: 600, cstamp: 1, tstamp: 2 },
      IFA_FLAGS: 2,
    }
    const { data, attrs } = rt.parseAddressMessage(Buffer.from(addrMessage.encode({ ...value, ...more })))
    expect(data).toMatchObject({ family, prefixlen: prefix, scope: 253, index: 3 })
    expect(attrs).toMatchObject({
      ...{ local: ip(address), address: ip(address), rtPriority: 50, flags: { nodad: true } },
      cacheInfo: { ifaPrefered: 300, ifaValid: 600, cstamp: 1, tstamp: 2 },
    })
  })

  test.each([
    [2, 16, '10.2.0.0', '10.1.0.1'],
    [10, 48, 'fd01::', 'fe80::1'],
  ])('route of family %i', (family, length, to, gateway) => {
    const header = {
      rtm_family: family,
      rtm_dst_len: length,
      rtm_table: 254,
      rtm_protocol: 4,
      rtm_scope: 0,
      rtm_type: 1,
      rtm_flags: 0x200,
    }
    const value = {
      ...header,
      RTA_DST: to,
      RTA_GATEWAY: gateway,
      RTA_PREFSRC: gateway,
      RTA_OIF: 7,
      RTA_PRIORITY: 9,
      RTA_TABLE: 1000,
    }
    const { data, attrs } = rt.parseRouteMessage(
      Buffer.from(routeMessage.encode({ ...value, RTA_METRICS: { RTAX_MTU: 1400 } })),
    )
    expect(data).toMatchObject({
      family,
      dstLen: length,
      table: 254,
      protocol: 'STATIC',
      scope: 'UNIVERSE',
      type: 'UNICAST',
      flags: { cloned: true },
    })
    expect(attrs).toMatchObject({
      dst: ip(to),
      gateway: ip(gateway),
      prefsrc: ip(gateway),
      oif: 7,
      priority: 9,
      table: 1000,
    })
    expect(attrs.metrics).toMatchObject({ mtu: u32(1400) })
  })

  test('rule', () => {
    const header = { family: 2, src_len: 32, action: 1 }
    const value = {
      ...header,
      FRA_SRC: '10.1.0.5',
      FRA_TABLE: 1000,
      FRA_PRIORITY: 900,
      FRA_IIFNAME: 'eth0',
      FRA_DPORT_RANGE: { start: 1, end: 9 },
    }
    const { data, attrs } = rt.parseRuleMessage(Buffer.from(ruleMessage.encode(value)))
    expect(data).toMatchObject({ family: 2, srcLen: 32, action: 'toTbl' })
    expect(attrs).toMatchObject({
      src: ip('10.1.0.5'),
      table: 1000,
      priority: 900,
      iifname: 'eth0',
      dportRange: { start: 1, end: 9 },
    })
  })
})

test('npm netlink reads the same from an answer of the kernel and from what we make of it', () => {
  const parsers: Readonly<Record<string, (bytes: Buffer) => unknown>> = {
    LINK: rt.parseLinkMessage,
    ADDR: rt.parseAddressMessage,
    ROUTE: rt.parseRouteMessage,
    RULE: rt.parseRuleMessage,
    NEIGH: rt.parseNeighborMessage,
  }
  // Only answers: it insists on the zero byte that iproute2 leaves out of some strings.
  const answers = fixtures.filter(({ name }) => name.startsWith('answer-'))
  let compared = 0
  for (const { name, codec, payload } of answers.flatMap(payloadsOf)) {
    const parse = parsers[name.slice('RTM_NEW'.length)]
    // It takes struct rtvia for one of a fixed length.
    if (parse === undefined || 'RTA_VIA' in (codec.decode(payload) as object)) continue
    // structuredClone forgets how the capture was written: what is encoded is our own way of writing it.
    const ours = codec.encode(structuredClone(codec.decode(payload)))
    expect(read(parse, ours)).toEqual(read(parse, payload))
    compared++
  }
  expect(compared).toBeGreaterThan(15)
})

/** The parsed message; nests that it keeps as bytes are left out: NLA_F_NESTED may differ in them. */
function read(parse: (bytes: Buffer) => unknown, bytes: Uint8Array): unknown {
  const message = parse(Buffer.from(bytes)) as { data: unknown; attrs: Record<string, unknown> }
  const { linkinfo: _linkinfo, metrics: _metrics, ...attrs } = message.attrs
  return { ...message, attrs }
}
