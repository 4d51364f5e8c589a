// Addresses in VLANs by other tags than 802.1Q: no filter of ours matches these.
import { expect, test, vi } from 'vitest'
import type { LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import { uplinkAddresses } from '../../../src/offload/port/addresses.ts'
import { addressAnswers, linkAnswers } from '../../support/node-answers.ts'

let protocol = '0x8100'
vi.mock('../../../src/nic/netdev.ts', () => ({ filtersVlans: () => true, tagProtocol: () => protocol }))

const link = (name: string, ifindex: number, more: Partial<LinkFacts> = {}) =>
  ({ name, ifindex, up: true, master: undefined, ...more }) as LinkFacts
const kernelOf = (links: readonly LinkFacts[], vlans: Kernel['bridgeVlans'] = () => []) =>
  ({
    ...linkAnswers(links),
    ...addressAnswers(
      links.map(({ ifindex }) => ({ ifindex, address: `10.${ifindex}.0.1/24` as const, scope: 0 })),
    ),
    bridgeVlans: vlans,
  }) as unknown as Kernel
const shown = (kernel: Kernel, pf: LinkFacts) =>
  uplinkAddresses(kernel, pf).map(({ link, vlan }) => `${link} ${vlan}`)

test('an interface for service tags is none of the uplink, nor what is above it', () => {
  const pf = link('pf0', 1)
  const links = [
    pf,
    link('pf0.7', 2, { kind: 'vlan', lower: 1, vlanId: 7 }),
    link('pf0.s', 3, { kind: 'vlan', lower: 1, vlanId: undefined, master: 4 }),
    link('br-s', 4, { kind: 'bridge' }),
  ]
  expect(shown(kernelOf(links), pf)).toEqual(['pf0 0', 'pf0.7 7'])
})

test('of a bridge that goes by service tags: what the port sends untagged', () => {
  const pf = link('pf0', 1, { master: 2 })
  const links = [
    pf,
    link('br', 2, { kind: 'bridge' }),
    link('br.5', 3, { kind: 'vlan', lower: 2, vlanId: 5 }),
  ]
  const kernel = kernelOf(links, () => [
    { vid: 1, pvid: true, untagged: true },
    { vid: 5, pvid: false, untagged: false },
  ])
  expect(shown(kernel, pf)).toEqual(['pf0 0', 'br 0', 'br.5 5'])
  protocol = '0x88a8'
  expect(shown(kernel, pf)).toEqual(['pf0 0', 'br 0'])
})
