// Interfaces that the host uses are told by sentences: default routes, masters, addresses of the node, also through what lies on top.
import { describe, expect, test } from 'vitest'
import { type HostFacts, hostUsesOf } from '../../../device-plugin/inventory/host-uses.ts'
import { networkLink } from '../../support/device-plugin/network-facts.ts'

const nothing: HostFacts = { links: [], routes: [], addresses: [], nodeAddresses: undefined }
const eth0 = networkLink('eth0', 2)

/** The uses of eth0 among these links. */
function uses(facts: Partial<HostFacts>): readonly string[] {
  const { links = [eth0] } = facts
  return hostUsesOf({ ...nothing, ...facts, links })(links.filter(({ name }) => name === 'eth0'))
}

const v4 = (ifindex: number) => ({ family: 4, ifindex, table: 254 }) as const
const v6 = (ifindex: number) => ({ family: 6, ifindex, table: 254 }) as const

test('an interface with nothing on it has no use', () => {
  expect(uses({})).toEqual([])
  expect(uses({ links: [eth0, networkLink('eth1', 3)], routes: [v4(3)] })).toEqual([])
})

describe('default routes', () => {
  test('of either family, each once', () => {
    expect(uses({ routes: [v4(2), v6(2), { ...v4(2), table: 100 }] })).toEqual([
      'has the default route of IPv4 by eth0',
      'has the default route of IPv6 by eth0',
    ])
  })

  test('by a VLAN on a bridge on the interface', () => {
    const links = [
      { ...eth0, master: 5, slaveKind: 'bridge' },
      networkLink('br0', 5, { kind: 'bridge' }),
      networkLink('br0.7', 6, { kind: 'vlan', lower: 5 }),
    ]
    expect(uses({ links, routes: [v4(6)] })).toEqual([
      'is a port of the bridge br0 by eth0',
      'has the default route of IPv4 by br0.7, which lies on eth0',
    ])
  })

  test('not by the other end of a veth pair, nor by what stands on an interface of another namespace', () => {
    const veth = networkLink('veth0', 7, { kind: 'veth', lower: 2 })
    const far = networkLink('vlan9', 8, { kind: 'vlan', lower: 2, lowerNetns: 0 })
    expect(uses({ links: [eth0, veth, far], routes: [v4(7), v4(8)] })).toEqual([])
  })

  test('in a circle of interfaces end', () => {
    const links = [{ ...eth0, lower: 3 }, networkLink('b', 3, { lower: 2 })]
    expect(uses({ links, routes: [v4(3)] })).toEqual([
      'has the default route of IPv4 by b, which lies on eth0',
    ])
  })
})

describe('masters', () => {
  test.each([
    ['bond', 'bond0', 'is a port of the bond bond0 by eth0'],
    ['team', 'team0', 'is a port of the team team0 by eth0'],
    ['bridge', 'br0', 'is a port of the bridge br0 by eth0'],
    ['openvswitch', 'ovs-system', 'is a port of the Open vSwitch datapath ovs-system by eth0'],
  ])('%s', (slaveKind, name, sentence) => {
    const links = [{ ...eth0, master: 5, slaveKind }, networkLink(name, 5)]
    expect(uses({ links })).toEqual([sentence])
  })

  test('a VRF alone is no use', () => {
    expect(uses({ links: [{ ...eth0, master: 5, slaveKind: 'vrf' }, networkLink('blue', 5)] })).toEqual([])
  })
})

describe('addresses of the node', () => {
  const addresses = [
    { ifindex: 2, address: '192.0.2.1' },
    { ifindex: 3, address: '198.51.100.1' },
  ]
  const links = [eth0, networkLink('eth1', 3)]

  test('are those that are given', () => {
    expect(uses({ links, addresses, nodeAddresses: ['192.0.2.1'] })).toEqual([
      "has the node's address 192.0.2.1 by eth0",
    ])
    expect(uses({ links, addresses, nodeAddresses: ['198.51.100.1'] })).toEqual([])
  })

  test('may be written in any form', () => {
    const v6 = [{ ifindex: 2, address: '2001:db8::1' }]
    expect(uses({ addresses: v6, nodeAddresses: ['2001:DB8:0::1'] })).toHaveLength(1)
  })

  test('are those beside a default route where none is given', () => {
    expect(uses({ links, addresses, routes: [v4(3)] })).toEqual([])
    const both = [...addresses, { ifindex: 2, address: '198.51.100.1' }]
    expect(uses({ links, addresses: both, routes: [v4(3)] })).toEqual([
      "has the node's address 198.51.100.1 by eth0",
    ])
  })
})
