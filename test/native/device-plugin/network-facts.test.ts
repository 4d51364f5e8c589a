// The kernel's answers about interfaces, default routes and addresses reach the inventory. PCI functions are those of a fake sysfs,
// whose interfaces have the names of real ones in a namespace of its own. ip is the judge.
// needs: veth, bridge, macvlan
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { drive, json, probe } from '../../../hack/lab/driver/client.ts'
import { FakeRoot } from '../../../hack/lab/fake-root/fake-root.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { deviceIn } from '../../support/device-plugin/network-facts.ts'
import { lab } from '../../support/lab.ts'

const on = 'inventory'
/** The machine of the test sees this folder too. */
const shared = fileURLToPath(new URL('../../../dist', import.meta.url))
const pf = '0000:3b:00.0'
let vm: Lab
let root: FakeRoot

beforeAll(async () => {
  vm = await lab()
  root = new FakeRoot(shared)
  root.addPf({ address: pf, driver: 'igb', netdevs: [{ name: 'inv0' }] })
  root.setVfs(pf, 6, (index) => ({ driver: 'igbvf', netdevs: [{ name: `inv0v${index}` }] }))
  await newPod(vm, on)
  await vm.must(`ip -n ${on} -b - <<END
    link add inv0 index 60 type veth peer name far
    link add inv0v0 index 70 address 02:00:00:00:07:00 type veth peer name far0
    link add inv0v1 index 71 type veth peer name far1
    link add inv0v2 index 72 type veth peer name far2
    link add inv0v3 index 73 type veth peer name far3
    link add inv0v4 index 74 type veth peer name far4
    link add br0 index 80 type bridge
    link add link inv0v2 name mac0 index 81 type macvlan mode bridge
    link set inv0v1 master br0
    link property add dev inv0v0 altname first-of-the-card
    link set lo up
    link set far0 up
    link set far2 up
    link set far3 up
    link set far4 up
    link set inv0v0 up
    link set inv0v1 up
    link set inv0v2 up
    link set inv0v3 up
    link set inv0v4 up
    link set br0 up
    link set mac0 up
    address add 192.0.2.1/24 dev inv0v0
    address add 2001:db8::1/64 dev br0 nodad
    address add 198.51.100.1/24 dev mac0
    address add 203.0.113.1/24 dev inv0v3
    address add 203.0.114.1/24 dev inv0v4
    route add default via 192.0.2.254 dev inv0v0
    route add 10.0.0.0/8 via 192.0.2.254
    route add ::/0 via 2001:db8::fe dev br0 onlink
    route add default via 198.51.100.254 dev mac0 table 100
    route add default table 101 nexthop via 203.0.113.254 dev inv0v3 nexthop via 198.51.100.253 dev mac0
    route add blackhole default metric 5000
END`)
})
afterAll(async () => {
  root.remove()
  await deletePod(vm, on)
})

const look = async (...nodeAddresses: readonly string[]) => {
  const given = nodeAddresses.length === 0 ? undefined : nodeAddresses
  const folders = { sys: root.sys, dev: root.dev }
  const [snapshot] = await drive(vm, [probe('takeInventory', folders, given)], { on })
  return snapshot
}

test('interfaces have the facts that ip shows', async () => {
  const [{ links }] = await drive(vm, [probe('networkOf')], { on })
  const shown = await json<Record<string, unknown>>(vm, `ip -n ${on} -j link`)
  const asIpShows = links.map(({ ifindex, name, mac, altnames }) => ({
    ...{ ifindex, ifname: name, address: mac },
    ...(altnames.length > 0 ? { altnames } : {}),
  }))
  expect(asIpShows).toEqual(
    shown.map(({ ifindex, ifname, address, altnames }) => ({
      ...{ ifindex, ifname, address },
      ...(altnames === undefined ? {} : { altnames }),
    })),
  )
  expect(links.find(({ name }) => name === 'inv0')).toMatchObject({ up: false, carrier: false, type: 1 })
  expect(links.find(({ name }) => name === 'inv0v1')).toMatchObject({ master: 80, slaveKind: 'bridge' })
})

test('default routes are those of both families and all tables, with each next hop, and no other routes', async () => {
  const [{ defaultRoutes }] = await drive(vm, [probe('networkOf')], { on })
  const sorted = [...defaultRoutes].sort(
    (one, other) => one.table - other.table || one.ifindex - other.ifindex,
  )
  expect(sorted).toEqual([
    { family: 4, ifindex: 81, table: 100 },
    { family: 4, ifindex: 73, table: 101 },
    { family: 4, ifindex: 81, table: 101 },
    { family: 4, ifindex: 70, table: 254 },
    { family: 6, ifindex: 80, table: 254 },
  ])
})

test('addresses are those with global scope', async () => {
  const [{ addresses }] = await drive(vm, [probe('networkOf')], { on })
  expect(addresses.map(({ address }) => address).sort()).toEqual([
    ...['192.0.2.1', '198.51.100.1', '2001:db8::1', '203.0.113.1', '203.0.114.1'],
  ])
})

describe('uses by the host', () => {
  test('are told of each VF, also by what lies on it', async () => {
    const snapshot = await look()
    const uses = [0, 1, 2, 3, 4, 5].map((index) => deviceIn(snapshot, root.vfAddress(pf, index)).hostUses)
    expect(uses).toEqual([
      ['has the default route of IPv4 by inv0v0', "has the node's address 192.0.2.1 by inv0v0"],
      [
        'is a port of the bridge br0 by inv0v1',
        'has the default route of IPv6 by br0, which lies on inv0v1',
        "has the node's address 2001:db8::1 by br0, which lies on inv0v1",
      ],
      [
        'has the default route of IPv4 by mac0, which lies on inv0v2',
        "has the node's address 198.51.100.1 by mac0, which lies on inv0v2",
      ],
      ['has the default route of IPv4 by inv0v3', "has the node's address 203.0.113.1 by inv0v3"],
      [],
      [],
    ])
    expect(deviceIn(snapshot, pf).hostUses).toEqual([])
  })

  test('go by the given addresses of the node', async () => {
    const snapshot = await look('203.0.114.1')
    expect(deviceIn(snapshot, root.vfAddress(pf, 4)).hostUses).toEqual([
      "has the node's address 203.0.114.1 by inv0v4",
    ])
    expect(deviceIn(snapshot, root.vfAddress(pf, 0)).hostUses).toEqual([
      'has the default route of IPv4 by inv0v0',
    ])
  })
})

test('the facts of a VF are those of the kernel, and those of sysfs where the kernel has no such interface', async () => {
  const snapshot = await look()
  expect(deviceIn(snapshot, root.vfAddress(pf, 0)).netdevs).toEqual([
    {
      ...{ name: 'inv0v0', ifindex: 70, mac: '02:00:00:00:07:00', altnames: ['first-of-the-card'] },
      ...{ up: true, carrier: true },
    },
  ])
  expect(deviceIn(snapshot, root.vfAddress(pf, 5)).netdevs).toMatchObject([{ name: 'inv0v5', up: true }])
  expect(snapshot.pfs.get(pf)?.uplink).toMatchObject({ name: 'inv0', ifindex: 60, up: false })
})
