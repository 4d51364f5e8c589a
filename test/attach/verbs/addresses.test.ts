// ADD gives IPAM's addresses to the interface, and tells its routes from those of the pod.
import { expect, test } from 'vitest'
import { readAttachConfig } from '../../../src/attach/config/config.ts'
import { addAddresses } from '../../../src/attach/verbs/addresses.ts'
import { Transaction } from '../../../src/ops/apply.ts'
import type { RouteSpec } from '../../../src/ops/op.ts'
import type { AttachJournal } from '../../../src/records/attach.ts'
import { requestOf } from '../../support/request.ts'
import { factsOf } from '../model.ts'

/** The entries that ADD hands to the journal when IPAM wants `routes` and the pod has those for which `has` is true. */
function journalled(
  routes: readonly { readonly dst: string }[],
  has: (route: RouteSpec) => boolean,
): Partial<AttachJournal>[] {
  const ips = [
    { address: '10.1.0.5/24', gateway: '10.1.0.1' },
    { address: 'fd00:1::5/64', gateway: 'fd00:1::1' },
  ]
  const config = readAttachConfig(requestOf({ deviceID: '0000:3b:02.3', ipam: { type: 'ledger' } }))
  const link = factsOf({ name: 'net1', altnames: [], mac: '02:00:00:00:00:05', mtu: 1500, up: true })
  const transaction = new Transaction({
    run: (op) => (op.do === 'route.add' && has(op.route) ? { existed: true } : {}),
  })
  const told: Partial<AttachJournal>[] = []
  addAddresses(
    { ips, routes: [...routes] },
    config,
    () => link,
    transaction,
    (done) => told.push(done),
  )
  return told
}

test('routes that the pod had before are told, with what tells them from others', () => {
  const routes = [
    { dst: '0.0.0.0/0' },
    { dst: '::/0', priority: 7, table: 100 },
    { dst: '10.2.0.0/16' },
    { dst: '10.3.0.0/16', gw: '10.1.0.9', mtu: 1400 },
  ]
  const hers = ['0.0.0.0/0', '::/0', '10.3.0.0/16']
  expect(journalled(routes, ({ dst }) => hers.includes(dst))).toEqual([
    {
      othersRoutes: [
        { dst: '0.0.0.0/0', gw: '10.1.0.1' },
        { dst: '::/0', gw: 'fd00:1::1', metric: 7, table: 100 },
        { dst: '10.3.0.0/16', gw: '10.1.0.9' },
      ],
    },
  ])
})

test('none: the journal stays as it was', () => {
  expect(journalled([{ dst: '10.2.0.0/16' }], () => false)).toEqual([{}])
})

test('a route that IPAM names twice is ours all the same, another one to its destination is not', () => {
  const routes = [
    { dst: '10.2.0.0/16' },
    { dst: '10.2.0.0/16', gw: '10.1.0.1' },
    { dst: '10.2.0.0/16', gw: '10.1.0.9' },
  ]
  let asked = 0
  expect(journalled(routes, () => asked++ > 0)).toEqual([
    { othersRoutes: [{ dst: '10.2.0.0/16', gw: '10.1.0.9' }] },
  ])
})
