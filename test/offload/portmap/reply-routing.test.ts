// Replies leave by the interface of the mapping, by policy rules and routes.
import { expect, describe as group, test } from 'vitest'
import type { LinkFacts, RouteFacts, SourceRuleFacts } from '../../../src/kernel/api/facts.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import {
  familiesOf,
  onlyWayIs,
  type PodAddress,
  planReplies,
} from '../../../src/offload/portmap/reply-routing.ts'
import { commandLine } from '../../../src/ops/command-line.ts'

const table = 0x76660011
const identity = { cookie: '', podTable: '', routeTable: table, owner: '' }
const net1 = { name: 'net1', ifindex: 3 } as LinkFacts
const port = { link: net1, wire: {} } as Port
const address4: PodAddress = { ip: '10.1.0.5', address: '10.1.0.5/24', gateway: '10.1.0.254' }
const address6: PodAddress = { ip: '2001:db8::5', address: '2001:db8::5/64', gateway: 'fe80::1' }

/** A route of the main table by net1, or by another interface. */
const route = (dst: string, ifindex = 3, more: Partial<RouteFacts> = {}): RouteFacts => ({
  ...{ dst, gw: undefined, ifindex, table: 254, metric: 0 },
  ...more,
})

interface Pod {
  readonly routes: readonly RouteFacts[]
  readonly addresses?: readonly PodAddress[]
  readonly rules?: readonly SourceRuleFacts[]
}

function replies({ routes, addresses = [address4], rules = [] }: Pod) {
  const facts = {
    port,
    hostAddresses: [],
    ownAddresses: new Set<string>(),
    podAddresses: addresses,
    podRoutes: routes,
    podRules: rules,
  }
  const { ops, notes } = planReplies(facts, identity)
  return {
    lines: ops.map((op) => commandLine(op).replace('pod:ip ', '').replace(` table ${table}`, '')),
    notes,
  }
}

const rule4 = `rule add from 10.1.0.5 lookup ${table} priority 30000`
const rule6 = `-6 rule add from 2001:db8::5 lookup ${table} priority 30000`

group('by a table of their own', () => {
  test('where the default route is elsewhere', () => {
    expect(replies({ routes: [route('0.0.0.0/0', 9), route('10.1.0.0/24')] })).toEqual({
      lines: ['route add 10.1.0.0/24 dev net1', 'route add 0.0.0.0/0 via 10.1.0.254 dev net1', rule4],
      notes: [],
    })
  })

  test('also where another network of the pod has made such a rule: it goes with that one', () => {
    const routes = [route('0.0.0.0/0', 9), route('10.1.0.0/24'), route('0.0.0.0/0', 3, { table: 0x70000007 })]
    const { lines } = replies({ routes, rules: [{ src: '10.1.0.5/32', table: 0x70000007 }] })
    expect(lines).toContain(rule4)
    // As it is where somebody who is not ours has done the same.
    const elsewhere = routes.map((one) => (one.table === 0x70000007 ? { ...one, table: 100 } : one))
    expect(replies({ routes: elsewhere, rules: [{ src: '10.1.0.5/32', table: 100 }] }).lines).toEqual([])
  })

  test('which has every route that the main table has by the interface', () => {
    const routes = [
      route('0.0.0.0/0', 9),
      route('10.9.0.0/16', 3, { gw: '10.1.0.253', mtu: 1400, advmss: 1360 }),
      route('10.8.0.0/16', 9, { gw: '10.1.0.252' }),
      route('10.1.0.0/24'),
      route('192.0.2.1/32', 3, { metric: 7 }),
      route('10.7.0.0/16', 3, { table: 100 }),
      route('10.6.0.0/16', 3, { gw: '192.0.2.9', onlink: true }),
      route('10.5.0.0/16', 3, { gw: 'fe80::9' }),
    ]
    expect(replies({ routes }).lines).toEqual([
      'route add 10.1.0.0/24 dev net1',
      'route add 192.0.2.1/32 dev net1 metric 7',
      'route add 10.9.0.0/16 via 10.1.0.253 dev net1 mtu 1400 advmss 1360',
      'route add 10.6.0.0/16 via 192.0.2.9 dev net1 onlink',
      'route add 10.5.0.0/16 via inet6 fe80::9 dev net1',
      'route add 0.0.0.0/0 via 10.1.0.254 dev net1',
      rule4,
    ])
    const six = [
      route('::/0', 9),
      route('2001:db8::/64', 3, { metric: 256 }),
      route('fe80::/64', 3, { metric: 256 }),
      route('2001:db8:9::/48', 3, { gw: '2001:db8::fd', metric: 1024 }),
    ]
    expect(replies({ routes: six, addresses: [address6] }).lines).toEqual([
      'route add 2001:db8::/64 dev net1',
      'route add 2001:db8:9::/48 via 2001:db8::fd dev net1 metric 1024',
      'route add ::/0 via fe80::1 dev net1',
      rule6,
    ])
  })

  test('where another interface has some networks, though the default route is by the port', () => {
    const routes = [
      route('0.0.0.0/0', 3, { gw: '10.1.0.1', metric: 5 }),
      route('192.168.0.0/16', 9),
      route('::/0', 3, { gw: 'fe80::2', metric: 1024 }),
      route('fd00:9::/64', 9),
    ]
    expect(replies({ routes, addresses: [address4, address6] })).toEqual({
      lines: [
        'route add 10.1.0.0/24 dev net1',
        'route add 0.0.0.0/0 via 10.1.0.1 dev net1 metric 5',
        rule4,
        'route add 2001:db8::/64 dev net1',
        'route add ::/0 via fe80::2 dev net1 metric 1024',
        rule6,
      ],
      notes: [],
    })
  })

  test('every address of the family gets its subnet and its rule; the routes stand before the rules', () => {
    const addresses = [address4, { ip: '10.2.0.5', address: '10.2.0.5/16', gateway: undefined }]
    expect(replies({ addresses, routes: [] }).lines).toEqual([
      'route add 10.1.0.0/24 dev net1',
      'route add 10.2.0.0/16 dev net1',
      'route add 0.0.0.0/0 via 10.1.0.254 dev net1',
      rule4,
      `rule add from 10.2.0.5 lookup ${table} priority 30000`,
    ])
  })

  test('without a gateway only the networks in it are served, and that is told', () => {
    const addresses = [{ ...address4, gateway: undefined }]
    expect(replies({ addresses, routes: [] })).toEqual({
      lines: ['route add 10.1.0.0/24 dev net1', rule4],
      notes: ['IPv4: no gateway is known, only clients in 10.1.0.0/24 are served'],
    })
    expect(
      replies({ addresses, routes: [route('10.9.0.0/16', 3, { gw: '10.1.0.253' })] }).notes.join(),
    ).toContain('clients in 10.1.0.0/24, 10.9.0.0/16 are served')
  })
})

group('nothing', () => {
  test('for a family whose only way is the interface', () => {
    const addresses = [address4, address6]
    expect(replies({ addresses, routes: [route('0.0.0.0/0')] }).lines).toEqual([
      'route add 2001:db8::/64 dev net1',
      'route add ::/0 via fe80::1 dev net1',
      rule6,
    ])
    expect(replies({ addresses, routes: [route('0.0.0.0/0'), route('::/0')] }).lines).toEqual([])
  })

  test('for an address that a rule of somebody else leads out of the interface (sbr)', () => {
    const routes = [
      route('0.0.0.0/0', 9),
      route('0.0.0.0/0', 3, { table: 100, gw: '10.1.0.254' }),
      route('10.2.0.0/16', 3, { table: 100 }),
      route('10.3.0.0/16', 9, { table: 101 }),
    ]
    const rule = (src: string, table: number) => ({ routes, rules: [{ src, table }] })
    expect(replies(rule('10.1.0.5/32', 100)).lines).toEqual([])
    expect(replies(rule('10.1.0.0/24', 100)).lines).toEqual([])
    for (const other of [
      rule('10.1.0.6/32', 100),
      rule('10.1.0.5/32', 101),
      rule('10.1.0.5/32', 102),
      rule('10.1.0.5/32', 254),
    ])
      expect(replies(other).lines).toContain(rule4)
  })

  test('without an interface in the pod, and without a wire on the host', () => {
    const facts = {
      hostAddresses: [],
      ownAddresses: new Set<string>(),
      podAddresses: [address4],
      podRoutes: [],
      podRules: [],
    }
    const nothing = { ops: [], notes: [] }
    expect(planReplies({ ...facts, port: { ...port, link: undefined } }, identity)).toEqual(nothing)
    expect(planReplies({ ...facts, port: { ...port, wire: undefined } }, identity)).toEqual(nothing)
  })
})

test.each([
  [[route('0.0.0.0/0')], true],
  [[], false],
  [[route('0.0.0.0/0', 9)], false],
  [[route('0.0.0.0/0', 9, { metric: 100 }), route('0.0.0.0/0')], false],
  [[route('0.0.0.0/0'), route('10.0.0.0/8', 9)], false],
  [[route('0.0.0.0/0'), route('10.0.0.0/8', 9, { table: 100 })], true],
  [[route('0.0.0.0/0', 3, { table: 100 })], false],
  [[route('10.0.0.0/8')], false],
  [[route('::/0'), route('::1/128', 1), route('fe80::/64', 9)], true],
  [[route('::/0'), route('fe00::/64', 9)], false],
])('%j lead everybody out of the interface: %s', (routes, is) => {
  expect(onlyWayIs(routes, net1)).toBe(is)
})

test('families in the order of the addresses, each once', () => {
  expect(familiesOf([address4, address6, address4])).toEqual([4, 6])
})
