// The addresses of the host that a port is served at.
import { expect, test } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { nodeAddresses, uplinkAddresses } from '../../../src/offload/port/addresses.ts'
import { addressAnswers, linkAnswers } from '../../support/node-answers.ts'

interface Given {
  readonly kind?: string
  readonly lower?: number
  readonly master?: number
  readonly vlanId?: number
  readonly up?: boolean
  readonly address?: string
  readonly scope?: number
}

/** A host of which interfaces, by number, and their addresses are known. */
function hostOf(given: Readonly<Record<string, Given>>): { kernel: Kernel; pf: LinkFacts } {
  const entries = Object.entries(given)
  const links = entries.map(([name, { up = true, ...facts }], at) => ({
    name,
    ifindex: at + 1,
    up,
    ...facts,
  }))
  const addresses = entries.flatMap(([, { address, scope = 0 }], at) =>
    address === undefined ? [] : [{ ifindex: at + 1, address, scope }],
  )
  const kernel = {
    ...linkAnswers(links),
    ...addressAnswers(addresses),
    bridgeVlans: () => [],
  } as unknown as Kernel
  return { kernel, pf: links[0] as unknown as LinkFacts }
}
const shown = (list: readonly { address: string; link: string; vlan: number }[]) =>
  list.map(({ address, link, vlan }) => `${address} ${link} ${vlan}`)

test('an uplink’s own addresses and those of its VLANs; link-local ones and other interfaces’ are none', () => {
  const { kernel, pf } = hostOf({
    pf0: { address: '10.1.0.1/24' },
    'pf0.7': { kind: 'vlan', lower: 1, vlanId: 7, address: '10.7.0.1/24' },
    eth0: { address: '192.0.2.1/24' },
    'eth0.7': { kind: 'vlan', lower: 3, vlanId: 7, address: '192.0.2.9/24' },
    'pf0.8': { kind: 'vlan', lower: 1, vlanId: 8, address: 'fe80::1/64', scope: 253 },
  })
  expect(shown(uplinkAddresses(kernel, pf))).toEqual(['10.1.0.1 pf0 0', '10.7.0.1 pf0.7 7'])
})

test('a bond above the uplink, a VLAN above the bond, a bridge above that', () => {
  const { kernel, pf } = hostOf({
    pf0: { master: 2 },
    bond0: { kind: 'bond', address: '10.1.0.1/24' },
    'bond0.7': { kind: 'vlan', lower: 2, vlanId: 7, master: 4 },
    br7: { kind: 'bridge', address: '10.7.0.1/24' },
    // A tag within a tag: the filter has one.
    'br7.9': { kind: 'vlan', lower: 4, vlanId: 9, address: '10.9.0.1/24' },
  })
  expect(shown(uplinkAddresses(kernel, pf))).toEqual(['10.1.0.1 bond0 0', '10.7.0.1 br7 7'])
})

test('a VRF above the uplink holds no address of the wire’s', () => {
  const { kernel, pf } = hostOf({
    pf0: { master: 2, address: '10.1.0.1/24' },
    red: { kind: 'vrf', address: '10.5.0.1/32' },
  })
  expect(shown(uplinkAddresses(kernel, pf))).toEqual(['10.1.0.1 pf0 0'])
})

test('of the node: every global address on an interface that is up', () => {
  const { kernel } = hostOf({
    pf0: { address: '10.1.0.1/24' },
    'kube-ipvs0': { kind: 'dummy', up: false, address: '10.96.0.1/32' },
    lo: { address: '192.0.2.53/32' },
    eth0: { address: '127.0.0.1/8', scope: 254 },
  })
  expect(shown(nodeAddresses(kernel))).toEqual(['10.1.0.1 pf0 0', '192.0.2.53 lo 0'])
})

test('an address that is a duplicate is none; a temporary one is marked', () => {
  const kernel = {
    ...linkAnswers([{ name: 'pf0', ifindex: 1, up: true }]),
    ...addressAnswers([
      { ifindex: 1, address: '2001:db8::1/64', scope: 0 },
      { ifindex: 1, address: '2001:db8::2/64', scope: 0, duplicate: true },
      { ifindex: 1, address: '2001:db8::3/64', scope: 0, temporary: true },
    ]),
  } as unknown as Kernel
  const found = [
    { address: '2001:db8::1', link: 'pf0', vlan: 0 },
    { address: '2001:db8::3', link: 'pf0', vlan: 0, temporary: true },
  ]
  expect(nodeAddresses(kernel)).toEqual(found)
  expect(uplinkAddresses(kernel, { name: 'pf0', ifindex: 1 } as LinkFacts)).toEqual(found)
})
