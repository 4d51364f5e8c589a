// The plan of port mappings for each kind of port, as operations.
import { expect, describe as group, test } from 'vitest'
import type { RouteFacts } from '../../../src/kernel/api/facts.ts'
import type { OffloadConfig, PortMapping } from '../../../src/offload/config/config.ts'
import type { HostAddress } from '../../../src/offload/port/addresses.ts'
import type { Port, UplinkAttachment } from '../../../src/offload/port/port.ts'
import { type OffloadFacts, podAddressesOf } from '../../../src/offload/portmap/facts.ts'
import { planPorts } from '../../../src/offload/portmap/plan.ts'
import type { Identity } from '../../../src/offload/state/identity.ts'
import { commandLine } from '../../../src/ops/command-line.ts'
import { invert } from '../../../src/ops/invert.ts'
import type { Op } from '../../../src/ops/op.ts'
import { linkFacts } from '../../support/link-facts.ts'
import { refusalOf } from '../../support/request.ts'

const identity: Identity = {
  cookie: '76660101aabbccdd0011223344556677',
  podTable: 'vf-flower-aabbccdd0011223344556677',
  routeTable: 0x76660011,
  owner: '76660101aabbccdd0011223344556677 container/net1',
}
const http: PortMapping = { proto: 'tcp', hostPort: 8080, containerPort: 80, hostIP: undefined }
const config: OffloadConfig = {
  mappings: [http],
  rates: { outside: false },
  servesPorts: false,
  limited: 'none',
  offload: 'prefer',
  nat: 'auto',
  legacyOffload: 'off',
  directSubnets: [],
  device: undefined,
  uplink: undefined,
  ...{ snat: true, masqAll: false, localhost: false, allowListening: false },
  ...{ allowServicePorts: false, allowConnected: false },
  conditions: new Map(),
  allowedHostPorts: [{ first: 1, last: 65535 }],
  stateDir: '/s',
  warnings: [],
}

const net1 = linkFacts('net1', 3, { mac: '02:00:00:00:00:05' })
const pf0 = linkFacts('pf0', 2, { mac: '02:00:00:00:00:01' })
const route = (dst: string, ifindex: number, metric = 0, table = 254): RouteFacts => ({
  dst,
  gw: undefined,
  ifindex,
  table,
  metric,
})
const uplinkAddress: HostAddress = { address: '10.1.0.1', link: 'pf0', vlan: 0 }
const wire: UplinkAttachment = {
  uplink: pf0,
  vlan: 0,
  uplinkHasIngress: false,
  representor: undefined,
  representorHasIngress: false,
}
const port: Port = {
  kind: 'legacy',
  name: 'net1',
  link: net1,
  mac: net1.mac,
  device: '0000:3b:02.1',
  vf: { pf: '0000:3b:00.0', index: 3 },
  wire,
}
const facts: OffloadFacts = {
  port,
  hostAddresses: [uplinkAddress],
  ownAddresses: new Set(),
  podAddresses: [{ ip: '10.1.0.5', address: '10.1.0.5/24', gateway: '10.1.0.254' }],
  podRoutes: [route('0.0.0.0/0', 3)],
  driver: 'mlx5_core',
  podRules: [],
}
/** The port with another wire. */
const wired = (change: Partial<UplinkAttachment>): Port => ({ ...port, wire: { ...wire, ...change } })
const dual: Partial<OffloadFacts> = {
  hostAddresses: [uplinkAddress, { address: '2001:db8::1', link: 'pf0', vlan: 0 }],
  podAddresses: [...facts.podAddresses, { ip: '2001:db8::5', address: '2001:db8::5/64', gateway: 'fe80::1' }],
}

const plans = (change: Partial<OffloadFacts> = {}, wishes: Partial<OffloadConfig> = {}) =>
  planPorts({ ...config, ...wishes }, { ...facts, ...change }, identity)

/** The first plan, its rules as operations that ask for hardware. */
function plan(change: Partial<OffloadFacts> = {}, wishes: Partial<OffloadConfig> = {}) {
  const [first] = plans(change, wishes)
  if (first === undefined) throw new Error('no plan')
  const rules = first.groups.flatMap((one) => one.rules)
  const steering = rules.map((rule): Op => ({ do: 'steer.add', rule, offload: 'require' }))
  return { ...first, ops: [...first.ops, ...steering] }
}
const lines = (ops: readonly Op[]) => ops.map(commandLine)
const actions = `action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe cookie ${identity.cookie} action mirred egress redirect dev pf0 cookie ${identity.cookie}`

group('one mapping', () => {
  test('reserves, translates in the pod, and only then steers', () => {
    const { ops, keys, notes } = plan()
    expect(lines(ops)).toEqual([
      'nft create element 10.1.0.1:8080/tcp',
      'pod:nft add table inet vf-flower-aabbccdd0011223344556677',
      'tc qdisc add dev pf0 clsact',
      `tc filter add dev pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 skip_sw ${actions}`,
    ])
    expect(keys).toEqual([
      { address: '10.1.0.1', proto: 'tcp', port: 8080, toAddress: '10.1.0.5', toPort: 80 },
    ])
    expect(notes).toEqual([expect.stringMatching(/^in software: the eSwitch of "pf0" is in legacy mode/)])
    expect(ops[0]).toMatchObject({ owner: identity.owner })
    expect(ops[1]).toMatchObject({ text: expect.stringContaining('10.1.0.1 . 8080 : 10.1.0.5 . 80') })
  })

  test('says of ports on a wire alone that filters take them past the stack', () => {
    const reserved = (of: Port) =>
      plan({ port: of, ownAddresses: new Set() }).ops.find(({ do: what }) => what === 'ports.reserve')
    expect(reserved(port)).toMatchObject({ steered: true })
    expect(
      reserved({ ...port, kind: 'veth', vf: undefined, device: undefined, wire: undefined }),
    ).not.toHaveProperty('steered')
  })

  test('of a macvlan: the frame gets the MAC of the pod and goes on in the kernel, whatever the driver is', () => {
    const macvlan: Port = { ...port, kind: 'macvlan', vf: undefined, device: undefined }
    const [first, ...others] = plans({ port: macvlan }, { legacyOffload: 'try' })
    expect(others).toEqual([])
    expect(first).toMatchObject({ nat: 'pod', unoffered: true })
    const rules = (first?.groups ?? []).flatMap((one) => one.rules)
    expect(lines(rules.map((rule): Op => ({ do: 'steer.add', rule, offload: 'off' })))).toEqual([
      `tc filter add dev pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 skip_hw action pedit ex munge eth dst set 02:00:00:00:00:05 pipe cookie ${identity.cookie} action pass cookie ${identity.cookie}`,
    ])
  })

  test('a clsact that is there is used, so that nothing takes it away', () => {
    expect(
      lines(plan({ port: wired({ uplinkHasIngress: true }) }).ops).filter((line) => line.includes('qdisc')),
    ).toEqual([])
  })

  test('every mapping is a group of rules of its own, with all its addresses', () => {
    const { groups, hardwareOnly } = plan(dual, { mappings: [http, { ...http, hostPort: 81 }] })
    expect(groups.map(({ mapping, rules }) => [mapping, rules.length])).toEqual([
      ['tcp 81 -> 80', 2],
      ['tcp 8080 -> 80', 2],
    ])
    expect(hardwareOnly).toBe(false)
  })

  test('in a VLAN the filter matches the tag, in a priority of its own', () => {
    const served = { address: '10.100.0.1', link: 'pf0.100', vlan: 100 }
    const { ops } = plan({ port: wired({ vlan: 100 }), hostAddresses: [uplinkAddress, served] })
    expect(lines(ops).at(-1)).toBe(
      `tc filter add dev pf0 ingress protocol 802.1Q prio 12 flower vlan_id 100 vlan_ethtype ip ip_proto tcp dst_ip 10.100.0.1 dst_port 8080 skip_sw ${actions}`,
    )
    expect(lines(ops)[0]).toBe('nft create element 10.100.0.1:8080/tcp')
  })

  test('both families: one filter each, in priorities of their own', () => {
    const filters = lines(plan({ ...dual, podRoutes: [route('0.0.0.0/0', 3), route('::/0', 3)] }).ops).slice(
      3,
    )
    expect(filters).toEqual([
      expect.stringContaining('protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 '),
      expect.stringContaining('protocol ipv6 prio 11 flower ip_proto tcp dst_ip 2001:db8::1 '),
    ])
  })

  test('legacy mode is not offered to the NIC, a representor is', () => {
    expect(plan().unoffered).toBe(true)
    const representor = linkFacts('pf0vf0', 7, { mac: '02:00:00:00:00:77' })
    const switchdev = { ...wired({ representor }), kind: 'representor' as const }
    expect(plan({ port: switchdev }).unoffered).toBeUndefined()
  })

  test('legacyOffload "try" offers to drivers that are known to take it: a group for each family, without fragments', () => {
    const wish = { legacyOffload: 'try' } as const
    const known = plan({ ...dual, driver: 'mlx5_core' }, wish)
    expect(known).toMatchObject({ way: 'hairpin', hardwareOnly: false })
    expect(known.unoffered).toBeUndefined()
    expect(known.groups.map(({ mapping, rules }) => [mapping, rules.map((rule) => rule.prio)])).toEqual([
      ['tcp 8080 -> 80', [10]],
      ['tcp 8080 -> 80', [11]],
    ])
    expect(known.groups[0]?.rules[0]).toMatchObject({ fragments: 'none', dstMac: net1.mac, srcMac: pf0.mac })
    expect(known.groups[0]?.rules[0]?.out).toBeUndefined()
    expect(known.notes.filter((note) => note.startsWith('in software'))).toEqual([])
    for (const other of [
      plan({ ...dual, driver: 'mlx5_core' }),
      plan({ ...dual, driver: 'igb' }, wish),
      plan({ ...dual, driver: 'mlx5_core' }, { ...wish, offload: 'off' }),
    ]) {
      expect(other).toMatchObject({ unoffered: true, groups: [{ rules: [{ prio: 10 }, { prio: 11 }] }] })
      expect(other.way).toBe('rewrite')
      expect(other.groups[0]?.rules[0]?.fragments).toBeUndefined()
    }
  })

  test('the reservation is taken back last', () => {
    const back = plan().ops.map(invert).reverse()
    expect(back.map((op) => op?.do)).toEqual(['steer.del', 'clsact.del', 'nft.drop', 'ports.release'])
  })
})

group('no mapping', () => {
  test('that fits the pod: nothing is done, and it is told', () => {
    expect(plan({}, { mappings: [{ ...http, hostIP: '::' }] })).toMatchObject({
      keys: [],
      ops: [],
      groups: [],
      notes: ['no mapping fits an address family of the pod'],
    })
  })
})

test('hostIP 127.0.0.1 without localhost: who can use it is told', () => {
  const mappings = [{ ...http, hostIP: '127.0.0.1' }]
  expect(plan({}, { mappings }).notes.join()).toContain('127.0.0.1: without localhost true only programs')
  expect(plan({}, { mappings, localhost: true, offload: 'off' }).notes).toEqual([])
})

group('refused, code 7', () => {
  test.each([{ nat: 'nic' }, { offload: 'require', nat: 'nic' }] as const)(
    '%j without an eSwitch in switchdev mode',
    (wishes) => {
      const { code, message } = refusalOf(() => plan({}, wishes))
      expect(message).toBe(
        'Cannot use nat "nic" on "pf0": its eSwitch is in legacy mode, which has no representors',
      )
      expect(code).toBe(7)
    },
  )

  test('a VF in a VLAN in which the uplink has no address', () => {
    expect(refusalOf(() => plan({ port: wired({ vlan: 100 }) })).message).toBe(
      'Cannot serve hostPort 8080: must be an address on uplink "pf0" in VLAN 100, the VF\'s wire, which has none',
    )
    expect(
      refusalOf(() => plan({ port: wired({ vlan: 100 }) }, { mappings: [{ ...http, hostIP: '10.1.0.1' }] }))
        .message,
    ).toBe(
      'Cannot serve hostIP "10.1.0.1": it is on "pf0" without VLAN, the VF is on uplink "pf0" in VLAN 100',
    )
  })
})

group('a representor', () => {
  const rep = linkFacts('pf0vf0', 7, { mac: '02:00:00:00:00:77' })
  const switchdev = { port: { ...wired({ representor: rep }), kind: 'representor' as const } }
  const rules = (change: Partial<OffloadFacts>, wishes: Partial<OffloadConfig>) =>
    lines(plan({ ...switchdev, ...change }, wishes).ops)
      .filter((line) => line.startsWith('tc filter'))
      .map((line) => line.replaceAll(` cookie ${identity.cookie}`, '').replace('tc filter add dev ', ''))

  test('steers to the VF, and replies leave with the uplink’s MAC', () => {
    expect(rules({}, {})).toEqual([
      'pf0vf0 ingress protocol ip prio 10 flower ip_proto tcp src_ip 10.1.0.1 src_port 8080 ip_flags nofrag skip_sw action pedit ex munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev pf0',
      'pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 ip_flags nofrag skip_sw action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev pf0vf0',
    ])
    const { ops, nat, hardwareOnly } = plan(switchdev)
    expect(lines(ops).filter((line) => line.includes('qdisc'))).toEqual([
      'tc qdisc add dev pf0 clsact',
      'tc qdisc add dev pf0vf0 clsact',
    ])
    expect({ nat, hardwareOnly }).toEqual({ nat: 'pod', hardwareOnly: false })
    expect(plan(switchdev, { offload: 'require' }).hardwareOnly).toBe(true)
  })

  test('nat nic: translates both ways in the NIC, nothing in the pod', () => {
    expect(rules({}, { nat: 'nic' })).toEqual([
      'pf0vf0 ingress protocol ip prio 5 flower src_ip 10.1.0.5 dst_ip 10.1.0.1/32 skip_sw action pass',
      'pf0vf0 ingress protocol ip prio 10 flower ip_proto tcp src_ip 10.1.0.5 src_port 80 ip_flags nofrag skip_sw action pedit ex munge eth src set 02:00:00:00:00:01 munge ip src set 10.1.0.1 munge tcp sport set 8080 pipe action csum ip4h and tcp pipe action mirred egress redirect dev pf0',
      'pf0 ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 ip_flags nofrag skip_sw action pedit ex munge eth dst set 02:00:00:00:00:05 munge eth src set 02:00:00:00:00:01 munge ip dst set 10.1.0.5 munge tcp dport set 80 pipe action csum ip4h and tcp pipe action mirred egress redirect dev pf0vf0',
    ])
    const { ops, hardwareOnly } = plan(switchdev, { nat: 'nic' })
    expect(lines(ops).some((line) => line.includes('nft add table'))).toBe(false)
    expect(hardwareOnly).toBe(true)
  })

  test('the tag of the address’s VLAN goes on the way in and comes on the way out', () => {
    const hostAddresses = [{ address: '10.100.0.1', link: 'pf0.100', vlan: 100 }]
    expect(rules({ hostAddresses }, { nat: 'nic' })).toEqual([
      expect.stringContaining('prio 5 flower src_ip 10.1.0.5 dst_ip 10.100.0.1/32 '),
      expect.stringMatching(/^pf0vf0 .* csum .* action vlan push id 100 pipe action mirred .* dev pf0$/),
      expect.stringMatching(
        /^pf0 .* protocol 802.1Q prio 12 flower vlan_id 100 .* skip_sw action vlan pop pipe/,
      ),
    ])
  })

  test('hosts of the direct networks pass as they are, by rules that come before', () => {
    expect(rules({}, { nat: 'nic', directSubnets: ['10.1.0.0/24', '2001:db8::/64'] }).slice(1, 3)).toEqual([
      'pf0vf0 ingress protocol ip prio 7 flower ip_proto tcp src_ip 10.1.0.5 src_port 80 dst_ip 10.1.0.0/24 ip_flags nofrag skip_sw action mirred egress redirect dev pf0',
      'pf0 ingress protocol ip prio 7 flower ip_proto tcp dst_ip 10.1.0.5 dst_port 80 src_ip 10.1.0.0/24 ip_flags nofrag skip_sw action mirred egress redirect dev pf0vf0',
    ])
  })

  test('auto: in the NIC where direct networks are named, else in the pod', () => {
    const kinds = (wishes: Partial<OffloadConfig>) => plans(switchdev, wishes).map(({ nat }) => nat)
    expect(kinds({})).toEqual(['pod'])
    expect(kinds({ directSubnets: ['10.1.0.0/24'] })).toEqual(['nic', 'pod'])
    expect(kinds({ directSubnets: ['10.1.0.0/24'], offload: 'off' })).toEqual(['pod'])
    const two = [http, { ...http, hostPort: 81 }]
    expect(kinds({ directSubnets: ['10.1.0.0/24'], mappings: two })).toEqual(['pod'])
    expect(kinds({ nat: 'nic' })).toEqual(['nic'])
    const dns: PortMapping = { ...http, proto: 'udp', hostPort: 53, containerPort: 53 }
    expect(kinds({ directSubnets: ['10.1.0.0/24'], mappings: [http, dns] })).toEqual(['pod'])
    const [{ notes } = { notes: [] }] = plans(switchdev, { directSubnets: ['10.1.0.0/24'], mappings: [dns] })
    expect(notes.join()).toMatch(/not with nat "nic": .*"udp" \(hostPort 53\).* in fragments/)
  })

  test('two host ports on one of the pod: the NIC can’t tell their replies apart, code 7', () => {
    const mappings = [http, { ...http, hostPort: 81 }]
    const { code, message } = refusalOf(() => plan(switchdev, { nat: 'nic', mappings }))
    expect(message).toBe(
      'Cannot use nat "nic": 10.1.0.1 port 81 and 10.1.0.1 port 8080 both lead to tcp 10.1.0.5 port 80, whose replies the NIC can\'t tell apart',
    )
    expect(code).toBe(7)
    expect(() => plan(switchdev, { nat: 'nic', offload: 'off' })).toThrow('nat "nic" with offload "off"')
  })
})

group('facts', () => {
  test('addresses of the interface, and those that name none or one that does not exist', () => {
    const result = {
      interfaces: [
        { name: 'net1', sandbox: '/n' },
        { name: 'net1', sandbox: '' },
        { name: 'eth0', sandbox: '/n' },
      ],
      ips: [
        { address: '10.1.0.5/24', gateway: '10.1.0.254', interface: 0 },
        { address: '10.1.0.6/24', interface: 1 },
        { address: '10.1.0.7/24', interface: 2 },
        { address: '10.1.0.8/24', interface: 7 },
        { address: '2001:DB8::9/64' },
      ],
    }
    expect(podAddressesOf(result, 'net1')).toEqual([
      { ip: '10.1.0.5', address: '10.1.0.5/24', gateway: '10.1.0.254' },
      { ip: '10.1.0.8', address: '10.1.0.8/24', gateway: undefined },
      { ip: '2001:db8::9', address: '2001:DB8::9/64', gateway: undefined },
    ])
    expect(podAddressesOf({}, 'net1')).toEqual([])
  })
})
