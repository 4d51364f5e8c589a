// A plan comes with notes for the user about what mappings do not do.
import { expect, test } from 'vitest'
import type { PortKind } from '../../../src/offload/port/kinds.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import { nicNotes, reachNotes } from '../../../src/offload/portmap/plan-notes.ts'
import type { PortKey } from '../../../src/ops/op.ts'

const key: PortKey = { address: '10.1.0.1', proto: 'udp', port: 53, toAddress: '10.1.0.5', toPort: 53 }
const v6: PortKey = { ...key, address: 'fd00:1::1', toAddress: 'fd00:1::5' }
const uplink = { name: 'pf0', ifindex: 2 }
const portOf = (kind: PortKind, representor?: object) =>
  ({ kind, name: 'net1', vf: { pf: '', index: 0 }, wire: { uplink, representor } }) as unknown as Port
const bridged = portOf('representor', { name: 'rep0', ifindex: 7, master: 5 })
const prefer = { offload: 'prefer', legacyOffload: 'off' } as const
const off = { ...prefer, offload: 'off' } as const
const neither = new Set([4, 6] as const)

test('a port of a bond: a failover ends the mappings, for every kind of port on a wire', () => {
  for (const port of [bridged, portOf('legacy')])
    expect(reachNotes(off, { port, bond: 'bond0' }, [key])).toEqual([
      '"pf0" is a port of "bond0": the mappings are on this port alone, and end while "bond0" uses another one',
    ])
  expect(reachNotes(prefer, { port: bridged }, [key])).toEqual([])
})

test('who is not served: where the node does not forward, and where nothing leads to the representor', () => {
  const still = new Set([4] as const)
  expect(reachNotes(prefer, { port: bridged, still }, [key, v6])).toEqual([
    expect.stringMatching(/^the node does not forward IPv4 \(net.ipv4.ip_forward\): datagrams in fragments/),
  ])
  const alone = portOf('representor', { name: 'rep0', ifindex: 7 })
  expect(reachNotes(prefer, { port: alone }, [key])).toEqual([
    expect.stringMatching(/^the representor "rep0" is no port of a bridge: .* programs of the node/),
  ])
})

test('a veth, which the node forwards to whole: who is not served where it does not forward', () => {
  const veth = { kind: 'veth', name: 'eth0' } as unknown as Port
  const loopback = { ...v6, address: '::1' }
  expect(reachNotes(prefer, { port: veth, still: neither }, [key, loopback])).toEqual([
    'the node does not forward IPv4 (net.ipv4.ip_forward): clients on the wire and other pods (all but programs of the node itself) do not reach the mapped ports',
  ])
  expect(reachNotes(prefer, { port: veth, still: new Set([6] as const) }, [key])).toEqual([])
})

test('who does not reach a macvlan, whether or not the node forwards', () => {
  expect(reachNotes(off, { port: portOf('macvlan'), still: neither }, [key, v6])).toEqual([
    '"pf0" and a macvlan on it do not exchange frames: datagrams in fragments, programs of the node and other pods do not reach the mapped ports',
  ])
})

test('no filter is offered where no card was seen to carry it out, and the reason is said', () => {
  for (const [kind, words] of [
    ['legacy', 'the eSwitch of "pf0" is in legacy mode'],
    ['nic', '"net1" is a NIC of its own'],
  ] as const) {
    expect(reachNotes(prefer, { port: portOf(kind) }, [key])).toEqual([
      expect.stringMatching(new RegExp(`^in software: ${words}, .* no card was seen to deliver`)),
    ])
    expect(reachNotes(off, { port: portOf(kind) }, [key])).toEqual([])
  }
})

test('no filter is offered where another system manages the eSwitch, which is not said to be in legacy mode', () => {
  const { wire, ...port } = portOf('legacy')
  const elsewhere = { ...port, wire: { ...wire, managedElsewhere: 'BlueField in DPU mode?' } } as Port
  expect(reachNotes(prefer, { port: elsewhere }, [key])).toEqual([
    'in software: this host does not manage the eSwitch of "pf0" (BlueField in DPU mode? devlink: EOPNOTSUPP), so the NIC is offered no filter',
  ])
})

test('for whom the NIC does not translate, and what it drops', () => {
  const [note, ...others] = nicNotes({ directSubnets: ['10.9.0.0/24'] })
  expect(note).toContain('only the node, VFs of the same card, 10.9.0.0/24 reach the pod')
  expect(note).toContain('in fragments to others is dropped')
  expect(others).toEqual([])
})
