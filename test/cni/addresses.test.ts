// Addresses and routes of a result are judged before an ADD uses them.
import { expect, test } from 'vitest'
import { checkAddresses } from '../../src/cni/addresses.ts'
import { refusalOf } from '../support/request.ts'

const good = {
  ips: [
    { address: '10.1.0.5/24', gateway: '10.1.0.1' },
    { address: '2001:db8::5/64', gateway: 'fe80::1' },
    { address: '10.1.0.6/32' },
  ],
  routes: [
    { dst: '0.0.0.0/0' },
    { dst: '::/0', gw: 'fe80::1' },
    { dst: '10.9.0.0/16', mtu: 0, advmss: 1400, priority: 0xffffffff, table: 0xffffffff, scope: 255 },
  ],
}

test.each([[good], [{}], [{ ips: [], routes: [] }]])('%j is fine', (result) => {
  expect(() => checkAddresses('prevResult', result)).not.toThrow()
})

test.each([
  [{ ips: [{ address: '10.1.0.5' }] }, 'ips[0].address "10.1.0.5": must be an address and a prefix length'],
  [{ ips: [{ address: '' }] }, 'ips[0].address "": must be an address and a prefix length'],
  [{ ips: [...good.ips, { address: '10.1.0.5/33' }] }, 'ips[3].address "10.1.0.5/33": must be'],
  [{ ips: [{ address: '10.1.0.5/24', gateway: '' }] }, 'ips[0].gateway "": must be an address'],
  [
    { ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1/24' }] },
    'ips[0].gateway "10.1.0.1/24": must be an address',
  ],
  [
    { ...good, routes: [{ dst: 'default' }] },
    'routes[0].dst "default": must be an address and a prefix length',
  ],
  [{ routes: [{ dst: '::/0', scope: 256 }] }, 'routes[0].scope 256: must be an integer from 0 to 255'],
  [{ routes: [{ dst: '::/0', mtu: -1 }] }, 'routes[0].mtu -1: must be an integer from 0 to 4294967295'],
  [{ routes: [{ dst: '::/0', table: 2 ** 32 }] }, 'routes[0].table 4294967296: must be'],
  [{ ...good, routes: [{ dst: '0.0.0.0/0', gw: 'x"y' }] }, 'routes[0].gw "x\\"y": must be an address'],
])('%j is refused, code 6', (result, words) => {
  const { code, message } = refusalOf(() => checkAddresses('prevResult', result))
  expect(message).toContain(`Cannot use prevResult.${words}`)
  expect(code).toBe(6)
})
