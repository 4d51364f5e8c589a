import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab } from '../support/lab.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import { buildTopology, deletePod, loadIgb, newPod, type Topology, tearDown } from '../support/topology.ts'

let vm: Lab
let net: Topology

beforeAll(async () => {
  vm = await lab()
  net = await buildTopology(vm, await loadIgb(vm), 2)
})
afterAll(() => tearDown(vm, net))

/** The lines that `change` makes; `undo` has to take all of them back. */
async function seen(change: string, undo: string): Promise<string[]> {
  const before = await snapshot(vm)
  await vm.must(change)
  const lines = diffSnapshot(before, await snapshot(vm))
  await vm.must(undo)
  expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
  return lines
}

describe('a snapshot', () => {
  test('stays the same while nothing but traffic happens', async () => {
    const before = await snapshot(vm)
    await vm.must(
      'ip netns exec client-b ping -q -c 3 -i 0.2 10.1.0.1; ip netns exec client-a ping -q -c 1 fd00:1::1',
    )
    expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
    expect(before.get(`link ${net.pf}.address`)).toBe(`"${net.pfMac}"`)
    expect(before.size).toBeGreaterThan(500)
  })

  test('shows an alternative name, MTU and flags of a VF', async () => {
    const dev = net.vfs[0]?.netdev
    const lines = await seen(
      `ip link property add dev ${dev} altname other; ip link set ${dev} mtu 1400 allmulticast on`,
      `ip link property del dev ${dev} altname other; ip link set ${dev} mtu 1500 allmulticast off`,
    )
    expect(lines).toContain(`only after: link ${dev}.altnames: ["other"]`)
    expect(lines).toContain(`link ${dev}.mtu: 1500 -> 1400`)
    expect(lines.filter((line) => line.startsWith(`link ${dev}.flags: `))).toHaveLength(1)
  })

  test('shows what the PF holds for a VF', async () => {
    const lines = await seen(
      `ip link set ${net.pf} vf 1 vlan 100 qos 3; ip link set ${net.pf} vf 1 spoofchk off; ip link set ${net.pf} vf 1 trust on; ip link set ${net.pf} vf 1 max_tx_rate 100`,
      `ip link set ${net.pf} vf 1 vlan 0; ip link set ${net.pf} vf 1 spoofchk on; ip link set ${net.pf} vf 1 trust off; ip link set ${net.pf} vf 1 max_tx_rate 0`,
    )
    const at = `link ${net.pf}.vfinfo_list.1`
    for (const line of [
      `${at}.rate.max_tx: 0 -> 100`,
      `${at}.spoofchk: true -> false`,
      `${at}.trust: false -> true`,
      `only after: ${at}.vlan_list.0.qos: 3`,
      `only after: ${at}.vlan_list.0.vlan: 100`,
    ]) {
      expect(lines).toContain(line)
    }
  })

  test('shows filters, nftables, addresses, routes, rules, sysctls and namespaces', async () => {
    const lines = await seen(
      `tc qdisc add dev ${net.pf} clsact
       tc filter add dev ${net.pf} ingress protocol ip prio 10 flower ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 action drop
       nft add table ip probe
       ip address add 10.9.0.1/24 dev ${net.pf}
       ip rule add from 10.9.0.1 table 100
       ip route add 10.8.0.0/24 dev ${net.pf} table 100
       echo 1 >/proc/sys/net/ipv4/conf/${net.pf}/route_localnet
       ip netns add probe`,
      `tc qdisc del dev ${net.pf} clsact; nft delete table ip probe; ip address del 10.9.0.1/24 dev ${net.pf}
       ip rule del from 10.9.0.1 table 100; ip route flush table 100; ip netns del probe
       echo 0 >/proc/sys/net/ipv4/conf/${net.pf}/route_localnet`,
    )
    const all = lines.join('\n')
    expect(all).toMatch(/only after: qdisc .*clsact/)
    expect(all).toMatch(/only after: filter \S+ ingress .*"dst_port":8080/)
    expect(all).toMatch(/only after: action gact .*drop/)
    expect(all).toMatch(/only after: nft .*"probe"/)
    expect(all).toMatch(/only after: address .*"10\.9\.0\.1"/)
    expect(all).toMatch(/only after: rule v4 .*"10\.9\.0\.1"/)
    expect(all).toMatch(/only after: route .*"10\.8\.0\.0\/24"/)
    expect(all).toMatch(/sysctl .*route_localnet: 0 -> 1/)
    expect(all).toMatch(/only after: namespace probe/)
  })

  test('shows files by mode and content', async () => {
    await vm.writeFile('/var/lib/cni/state/one', 'first', 0o600)
    const lines = await seen(
      'echo -n other >/var/lib/cni/state/one; chmod 644 /var/lib/cni/state/one; mkdir /run/new',
      'echo -n first >/var/lib/cni/state/one; chmod 600 /var/lib/cni/state/one; rmdir /run/new',
    )
    expect(lines).toHaveLength(2)
    const all = lines.join('\n')
    expect(all).toMatch(/^file \/var\/lib\/cni\/state\/one: f 600 .* 5 bytes .* -> f 644 .* 5 bytes /m)
    expect(all).toMatch(/^only after: file \/run\/new: d /m)
    await vm.must('rm -r /var/lib/cni/state')
  })

  test('shows a VF that is in a pod as missing, and itself again when it is back', async () => {
    const dev = net.vfs[0]?.netdev
    await newPod(vm, 'snap')
    const lines = await seen(
      `ip link set ${dev} netns snap name net1`,
      `ip -n snap link set net1 netns 1 name ${dev}`,
    )
    expect(lines.filter((line) => line.startsWith(`only before: link ${dev}.`)).length).toBeGreaterThan(10)
    const inside = await snapshot(vm, { namespace: 'snap', folders: [] })
    expect([...inside.keys()].filter((key) => key.startsWith('link lo.')).length).toBeGreaterThan(5)
    expect(inside.has(`link ${net.pf}.mtu`)).toBe(false)
    await deletePod(vm, 'snap')
  })
})

test('tearing the topology down leaves the host as it was before', async () => {
  await tearDown(vm, net)
  const before = await snapshot(vm)
  net = await buildTopology(vm, net, 2)
  expect(diffSnapshot(before, await snapshot(vm)).length).toBeGreaterThan(100)
  await tearDown(vm, net)
  expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
  net = await buildTopology(vm, net, 1)
})
