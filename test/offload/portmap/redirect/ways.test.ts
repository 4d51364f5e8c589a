// Plans for NICs that redirect frames and rewrite none: their filters, the pod's part, and the order in which a driver hears of them.
import { expect, describe as group, test } from 'vitest'
import type { OffloadConfig, PortMapping } from '../../../../src/offload/config/config.ts'
import { policeHindrance } from '../../../../src/offload/port/driver-words.ts'
import type { Port } from '../../../../src/offload/port/port.ts'
import type { OffloadFacts } from '../../../../src/offload/portmap/facts.ts'
import { planPorts } from '../../../../src/offload/portmap/plan.ts'
import { isNear } from '../../../../src/offload/portmap/redirect/filters.ts'
import { podMarkTable } from '../../../../src/offload/portmap/redirect/pod-mark.ts'
import { commandLine } from '../../../../src/ops/command-line.ts'
import { invert } from '../../../../src/ops/invert.ts'
import type { FlowFilter } from '../../../../src/ops/op.ts'
import { linkFacts } from '../../../support/link-facts.ts'

const cookie = '76660101aabbccdd0011223344556677'
const table = 'vf-flower-aabbccdd0011223344556677'
const identity = { cookie, podTable: table, routeTable: 0x76660011, owner: `${cookie} container/net1` }
const http: PortMapping = { proto: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined }
const config: OffloadConfig = {
  mappings: [http],
  rates: { outside: false },
  ...{
    servesPorts: false,
    limited: 'none',
    offload: 'prefer',
    nat: 'auto',
    legacyOffload: 'off',
    directSubnets: [],
  },
  ...{ device: undefined, uplink: undefined, snat: true, masqAll: false, localhost: false },
  ...{ allowListening: false, allowServicePorts: false, allowConnected: false },
  conditions: new Map(),
  allowedHostPorts: [{ first: 1, last: 65535 }],
  stateDir: '/s',
  warnings: [],
}
const link = linkFacts('net1', 3, { mac: '02:00:00:00:00:05' })
const uplink = linkFacts('pf0', 2, { mac: '02:00:00:00:00:01' })
const representor = linkFacts('pf0vf0', 5)
const wire = { uplink, representor, vlan: 0, uplinkHasIngress: true, representorHasIngress: true }
const port: Port = {
  ...{ kind: 'representor', name: 'net1', link, mac: link.mac, device: '0000:3b:02.1' },
  ...{ vf: { pf: '0000:3b:00.0', index: 0 }, wire },
}
const facts: OffloadFacts = {
  port,
  hostAddresses: [
    { address: '10.1.0.1', link: 'pf0', vlan: 0 },
    { address: '2001:db8::1', link: 'pf0', vlan: 0 },
  ],
  ownAddresses: new Set(['10.1.0.1', '2001:db8::1']),
  podAddresses: [
    { ip: '10.1.0.5', address: '10.1.0.5/24', gateway: '10.1.0.254' },
    { ip: '2001:db8::5', address: '2001:db8::5/64', gateway: '2001:db8::fe' },
  ],
  podRoutes: [
    { dst: '0.0.0.0/0', gw: '10.1.0.254', ifindex: 3, table: 254, metric: 0 },
    { dst: '::/0', gw: '2001:db8::fe', ifindex: 3, table: 254, metric: 0 },
    { dst: '10.7.0.0/16', gw: undefined, ifindex: 3, table: 254, metric: 0 },
  ],
  podRules: [],
  driver: 'ice',
}
const plans = (change: Partial<OffloadFacts> = {}, wishes: Partial<OffloadConfig> = {}) =>
  planPorts({ ...config, ...wishes }, { ...facts, ...change }, identity)
const ways = (...of: Parameters<typeof plans>) =>
  plans(...of).map(({ nat, way, unoffered }) => [nat, way, unoffered === true ? 'software' : 'offered'])
const filters = (rules: readonly FlowFilter[] = []) =>
  rules.map((rule) =>
    commandLine({ do: 'steer.add', rule, offload: 'require' })
      .replaceAll(` cookie ${cookie}`, '')
      .replace('tc filter add dev ', ''),
  )

group('the order of the plans', () => {
  test('a driver that is known to refuse rewriting hears of the redirect alone, one that rewrites never', () => {
    expect(ways()).toEqual([
      ['pod', 'redirect', 'offered'],
      ['pod', 'rewrite', 'software'],
    ])
    for (const driver of ['mlx5_core', 'nfp', 'sfc'])
      expect(ways({ driver })).toEqual([['pod', 'rewrite', 'offered']])
  })

  test('an unknown driver hears of it after the rewriting', () => {
    for (const driver of [undefined, 'new_driver'])
      expect(ways({ driver })).toEqual([
        ['pod', 'rewrite', 'offered'],
        ['pod', 'redirect', 'offered'],
        ['pod', 'rewrite', 'software'],
      ])
  })

  test('offload require has no plan in software, offload off no other', () => {
    expect(ways({}, { offload: 'require' })).toEqual([['pod', 'redirect', 'offered']])
    expect(plans({}, { offload: 'require' })[0]?.hardwareOnly).toBe(true)
    expect(ways({}, { offload: 'off' })).toEqual([['pod', 'rewrite', 'offered']])
  })

  test('never with a VLAN, neither of the VF nor of an address of the node; a note says so', () => {
    const tagged = [{ address: '10.1.0.1', link: 'pf0.100', vlan: 100 }]
    for (const change of [{ port: { ...port, wire: { ...wire, vlan: 100 } } }, { hostAddresses: tagged }]) {
      expect(ways(change)).toEqual([['pod', 'rewrite', 'offered']])
      const words = 'not by redirect alone: frames in VLAN 100 need a change of their tag'
      expect(plans(change)[0]?.notes).toContainEqual(words)
      expect(plans(change)[0]?.hindrance).toBe(words)
      expect(ways({ ...change, driver: undefined })).toEqual([['pod', 'rewrite', 'offered']])
    }
  })

  test('never with a limit of what comes to the pod; a note says so', () => {
    const limited = { isLimited: true }
    expect(ways(limited)).toEqual([['pod', 'rewrite', 'offered']])
    expect(plans(limited)[0]?.notes.join()).toContain(
      'not by redirect alone: the limit of what comes to the pod',
    )
  })

  test('never for a VF of a program, nor without representors', () => {
    const program: Port = { ...port, kind: 'userspace', link: undefined }
    expect(ways({ port: program }, { nat: 'nic' })).toEqual([['nic', 'rewrite', 'offered']])
    const legacy: Port = { ...port, kind: 'legacy', wire: { ...wire, representor: undefined } }
    expect(ways({ port: legacy })).toEqual([['pod', 'rewrite', 'software']])
  })

  test('auto tries no translation in a NIC that is known to refuse it, and says so; nat "nic" does', () => {
    const one = { hostAddresses: facts.hostAddresses.slice(0, 1) }
    const { notes } = plans(one, { directSubnets: ['10.9.0.0/24'] })[0] ?? { notes: [] }
    expect(ways(one, { directSubnets: ['10.9.0.0/24'] })[0]).toEqual(['pod', 'redirect', 'offered'])
    expect(notes).toContainEqual(
      expect.stringMatching(/^not with nat "nic": driver "ice" refuses every rewrite/),
    )
    expect(ways(one, { nat: 'nic' })).toEqual([['nic', 'rewrite', 'offered']])
  })
})

group('the filters', () => {
  test('match as those that rewrite do, and redirect; in software they rewrite', () => {
    const [plan, software] = plans()
    const [mapped] = plan?.groups ?? []
    expect(filters(mapped?.rules).slice(0, 2)).toEqual([
      'pf0vf0 ingress protocol ip prio 10 flower ip_proto tcp src_ip 10.1.0.1 src_port 8080 ip_flags nofrag skip_sw action mirred egress redirect dev pf0',
      'pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 ip_flags nofrag skip_sw action mirred egress redirect dev pf0vf0',
    ])
    expect(mapped?.rules).toHaveLength(4)
    expect(mapped?.software).toEqual(software?.groups[0]?.rules)
    expect(software?.groups[0]?.rules.every(({ srcMac }) => srcMac === uplink.mac)).toBe(true)
  })

  test('of direct traffic: each of the pod’s ports once, with hosts behind routers alone', () => {
    const mappings = [http, { ...http, hostPort: 81 }]
    const directSubnets = ['10.1.0.0/24', '10.7.1.0/24', '10.9.0.0/24', '2001:db8:9::/64']
    const [plan] = plans({}, { mappings, directSubnets })
    const direct = plan?.groups.filter(({ software }) => software?.length === 0)
    expect(direct?.map(({ mapping }) => mapping)).toEqual(['direct traffic of tcp 80'])
    expect(filters(direct?.[0]?.rules)).toEqual([
      'pf0vf0 ingress protocol ip prio 7 flower ip_proto tcp src_ip 10.1.0.5 src_port 80 dst_ip 10.9.0.0/24 ip_flags nofrag skip_sw action mirred egress redirect dev pf0',
      'pf0 ingress protocol ip prio 7 flower ip_proto tcp dst_ip 10.1.0.5 dst_port 80 src_ip 10.9.0.0/24 ip_flags nofrag skip_sw action mirred egress redirect dev pf0vf0',
      'pf0vf0 ingress protocol ipv6 prio 8 flower ip_proto tcp src_ip 2001:db8::5 src_port 80 dst_ip 2001:db8:9::/64 ip_flags nofrag skip_sw action mirred egress redirect dev pf0',
      'pf0 ingress protocol ipv6 prio 8 flower ip_proto tcp dst_ip 2001:db8::5 dst_port 80 src_ip 2001:db8:9::/64 ip_flags nofrag skip_sw action mirred egress redirect dev pf0vf0',
    ])
    expect(plan?.notes.join()).toContain(
      "direct traffic with 10.1.0.0/24, 10.7.1.0/24 stays in the host's stack",
    )
  })

  test('of direct traffic: none where the pod reaches the network by the node, or without a router', () => {
    expect(isNear('10.9.0.0/24', facts)).toBe(false)
    expect(isNear('0.0.0.0/0', facts)).toBe(true)
    expect(isNear('10.9.0.0/24', { ...facts, ownAddresses: new Set(['10.1.0.254']) })).toBe(true)
    const onLink = { dst: '0.0.0.0/0', gw: undefined, ifindex: 3, table: 254, metric: 0 }
    expect(isNear('10.9.0.0/24', { ...facts, podRoutes: [onLink] })).toBe(true)
    expect(isNear('10.9.0.0/24', { ...facts, podRoutes: [{ ...onLink, ifindex: 9 }] })).toBe(false)
  })
})

group('the pod’s part', () => {
  const dns: PortMapping = { ...http, proto: 'udp', hostPort: 53, containerPort: 53 }

  test('comes after its NAT, before every filter, and is taken back', () => {
    const [plan] = plans()
    const own = plan?.ops.filter(({ do: kind }) => kind === 'nft.load') ?? []
    expect(own.map(commandLine)).toEqual([
      `pod:nft add table inet ${table}`,
      `pod:nft add table netdev ${table}`,
    ])
    expect(own.map(invert)[1]).toMatchObject({ do: 'nft.drop', family: 'netdev', table })
    expect(plans()[1]?.ops).toHaveLength((plan?.ops.length ?? 0) - 1)
    expect(plan?.notes.join()).toMatch(
      /answers leave with the MAC of the VF.*flushes the nftables of the pod/,
    )
  })

  test('takes in frames for others to the mapped addresses and ports, and no more', () => {
    const [plan] = plans({}, { mappings: [http, dns] })
    expect(podMarkTable(table, 'net1', plan?.keys ?? [])).toBe(`table netdev ${table} {
  chain ingress {
    type filter hook ingress device "net1" priority 0; policy accept;
    meta pkttype other ip daddr . udp dport { 10.1.0.1 . 53 } meta pkttype set host
    meta pkttype other ip daddr . tcp dport { 10.1.0.1 . 8080 } meta pkttype set host
    meta pkttype other ip6 daddr . udp dport { 2001:db8::1 . 53 } meta pkttype set host
    meta pkttype other ip6 daddr . tcp dport { 2001:db8::1 . 8080 } meta pkttype set host
  }
}
`)
  })

  test('has nothing of the node’s loopback', () => {
    const key = { address: '127.0.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 } as const
    expect(podMarkTable(table, 'net1', [key])).not.toContain('pkttype')
  })
})

test('such a NIC is asked for no policer', () => {
  expect(policeHindrance('ice', 1)).toMatch(/^driver "ice" refuses every policer \(ice_/)
  expect(policeHindrance('mlx5_core', 1)).toBeUndefined()
})
