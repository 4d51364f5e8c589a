// Addresses of prevResult must be those of the pod.
import { expect, test } from 'vitest'
import type { AddressFacts, LinkFacts } from '../../../src/kernel/api/facts.ts'
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { Port } from '../../../src/offload/port/port.ts'
import { requirePodAddresses } from '../../../src/offload/portmap/pod-addresses.ts'
import { refusalOf } from '../../support/request.ts'

const link = { name: 'net1', ifindex: 3 } as LinkFacts
const port = { kind: 'legacy', name: 'net1', link } as Port
const program = { kind: 'userspace', name: 'net1', link: undefined } as Port
const ownAddresses = new Set(['10.1.0.1', '2001:db8::1', '127.0.0.1', '::1'])
const on = (address: string, more: Partial<AddressFacts> = {}) => ({ ifindex: 3, address, scope: 0, ...more })

/** Asks for these addresses of a pod whose interface has those. */
const ask = (of: Port, wanted: readonly string[], there: readonly AddressFacts[] = []) => {
  const kernel = {
    addresses: (side: string, ifindex: number) => (side === 'pod' && ifindex === 3 ? there : []),
  }
  const keys = wanted.map((toAddress) => ({
    ...{ address: '10.1.0.1', proto: 'tcp' as const, port: 8080, toAddress, toPort: 80 },
  }))
  return () => requirePodAddresses(kernel as unknown as Kernel, { port: of, ownAddresses }, keys)
}

test('addresses that the interface has, whatever their prefix lengths', () => {
  const there = [on('10.1.0.5/32'), on('2001:db8::5/64')]
  expect(ask(port, ['10.1.0.5', '2001:db8::5'], there)).not.toThrow()
})

test('one that it does not have is code 7, with the interface and what it has', () => {
  expect(refusalOf(ask(port, ['10.1.0.5', '10.1.0.6'], [on('10.1.0.5/24')]))).toMatchObject({
    code: 7,
    message:
      'Cannot map ports to address 10.1.0.6 of prevResult: interface "net1" in the pod does not have it; it has 10.1.0.5',
  })
  expect(refusalOf(ask(port, ['10.1.0.6'])).message).toContain('it has none')
})

test('one that somebody else on the link was found to have is not the pod’s', () => {
  const there = [on('2001:db8::5/64', { duplicate: true })]
  expect(refusalOf(ask(port, ['2001:db8::5'], there)).code).toBe(7)
})

test.each([
  ['10.1.0.1', 'it is an address of the node'],
  ['2001:db8::1', 'it is an address of the node'],
  ['127.0.0.1', 'it is a loopback address'],
  ['127.9.9.9', 'it is a loopback address'],
  ['::1', 'it is a loopback address'],
])('%s: %s, whoever drives the device and whatever the pod gave itself', (address, words) => {
  expect(refusalOf(ask(port, [address], [on(`${address}/8`)])).message).toContain(words)
  expect(refusalOf(ask(program, [address])).message).toContain(words)
})

test('of a program that drives its device the kernel knows no address', () => {
  expect(ask(program, ['10.1.0.5'])).not.toThrow()
})
