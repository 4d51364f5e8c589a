// Mappings share filters: for fragments that the pod sends, and for frames that pass before the NIC translates.
import { expect, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Port, UplinkAttachment } from '../../../src/offload/port/port.ts'
import { type SharedContext, sharedRules } from '../../../src/offload/portmap/shared-filters.ts'
import { flowFilterLine } from '../../../src/ops/command-line.ts'
import type { FlowFilter, PortKey, VfAttributes } from '../../../src/ops/op.ts'

const link = (name: string, ifindex: number, more: Partial<LinkFacts> = {}) =>
  ({ name, ifindex, mac: '02:00:00:00:00:01', ...more }) as LinkFacts
const own = '02:00:00:00:00:05'
const mac = (last: string) => ({ mac: `02:00:00:00:00:${last}` })
const vfs: LinkFacts['vfs'] = new Map<number, VfAttributes>([
  [0, mac('05')],
  [1, mac('06')],
  [2, { mac: '00:00:00:00:00:00' }],
  [3, mac('06')],
  [4, {}],
])
const wire = { uplink: link('pf0', 2, { vfs }), vlan: 0, representor: link('rep0', 7) } as UplinkAttachment
const port = { vf: { pf: '0000:3b:00.0', index: 0 }, mac: own, wire } as Port
const v4: PortKey = { address: '10.1.0.1', proto: 'udp', port: 5353, toAddress: '10.1.0.5', toPort: 53 }
const v6: PortKey = { ...v4, address: 'fd00:1::1', toAddress: 'fd00:1::5' }
const tcp: PortKey = { ...v4, proto: 'tcp', port: 8080, toPort: 80 }
const context: SharedContext = {
  ...{ port, wire, cookie: '7666', nat: 'pod', directSubnets: [], nodeAddresses: ['10.1.0.1', 'fd00:1::1'] },
  vlanOf: () => 0,
}
const lines = (rules: readonly FlowFilter[]) =>
  rules.map((rule) =>
    flowFilterLine(rule, '')
      .replaceAll(' cookie 7666', '')
      .replace('tc filter add dev rep0 ingress protocol ', ''),
  )

test('where the pod translates: what it sends in fragments leaves by its address, once for all ports', () => {
  const { nic, host } = sharedRules([v4, { ...v4, port: 54 }, v6, tcp], context)
  expect(nic).toEqual([])
  expect(lines(host)).toEqual([
    'ip prio 10 flower ip_proto udp src_ip 10.1.0.1 ip_flags frag action pedit ex munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev pf0',
    'ipv6 prio 11 flower ip_proto udp src_ip fd00:1::1 ip_flags frag action pedit ex munge eth src set 02:00:00:00:00:01 pipe action mirred egress redirect dev pf0',
  ])
})

test('with the tag of the address’s VLAN; not for TCP, nor for the loopback address, nor without a representor', () => {
  const tagged = sharedRules([v4], { ...context, vlanOf: () => 100 })
  expect(lines(tagged.host)).toEqual([expect.stringContaining('action vlan push id 100 pipe action mirred')])
  for (const keys of [[tcp], [{ ...v4, address: '127.0.0.1' }]])
    expect(sharedRules(keys, context)).toEqual({ nic: [], host: [] })
  const legacy = { ...context, wire: { ...wire, representor: undefined } }
  expect(sharedRules([v4], legacy)).toEqual({ nic: [], host: [] })
})

test('where the NIC translates: what is for the node and for other VFs passes before anything is translated', () => {
  const { nic } = sharedRules([tcp, v6], { ...context, nat: 'nic' })
  expect(lines(nic)).toEqual([
    'ip prio 5 flower src_ip 10.1.0.5 dst_ip 10.1.0.1/32 action pass',
    'ip prio 5 flower dst_mac 02:00:00:00:00:06 src_ip 10.1.0.5 action pass',
    'ipv6 prio 6 flower src_ip fd00:1::5 dst_ip fd00:1::1/128 action pass',
    'ipv6 prio 6 flower dst_mac 02:00:00:00:00:06 src_ip fd00:1::5 action pass',
  ])
})

test('... and no other fragment leaves the card with the pod’s address, but to the direct networks', () => {
  const { nic, host } = sharedRules([v4, { ...v4, port: 54 }, tcp], {
    ...{ ...context, nat: 'nic', directSubnets: ['10.1.0.0/24', 'fd00:1::/64'] },
  })
  expect(lines(host)).toEqual([
    ...lines(nic).map((line) => line.replace(' action pass', ' ip_flags frag action pass')),
    'ip prio 7 flower src_ip 10.1.0.5 dst_ip 10.1.0.0/24 ip_flags frag action pass',
    'ip prio 10 flower ip_proto udp src_ip 10.1.0.5 ip_flags frag action drop',
    'ip prio 10 flower ip_proto tcp src_ip 10.1.0.5 ip_flags frag action drop',
  ])
})
