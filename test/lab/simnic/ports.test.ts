// A card of simnic with two ports on one PF, as nfp has: each is an uplink with a cable of its own, and filters of both serve the
// same VF. And devlink of a host that does not manage the embedded switch.
import { expect, test } from 'vitest'
import {
  type Card,
  cardCounters,
  hardwareRules,
  knob,
  refusal,
  setMode,
  setVfs,
} from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
const NAMESPACES = ['wire0', 'wire1', 'pod0'] as const

useSimnic(
  { totalVfs: 2, ports: 2 },
  async (machine, cards) => {
    vm = machine
    ;[card] = cards as [Card]
    await setVfs(vm, card, 1)
    await setMode(vm, card, 'switchdev')
    for (const ns of NAMESPACES) await newPod(vm, ns)
  },
  async () => {
    for (const ns of NAMESPACES) await deletePod(vm, ns)
    await vm.must(
      `until [ -e /sys/class/net/${card.wire} -a -e /sys/class/net/${card.wire}p1 ]; do sleep 0.05; done`,
    )
  },
)

test('both ports have the names, parent and switch that software looks for', async () => {
  const list = JSON.parse(await vm.must('ip -d -j link show')) as Record<string, unknown>[]
  const of = (name: string) => list.find(({ ifname }) => ifname === name)
  const first = of(card.pf)
  expect(first).toMatchObject({ phys_port_name: 'p0', parentdev: card.pci })
  expect(of(`${card.pf}p1`)).toMatchObject({
    phys_port_name: 'p1',
    parentdev: card.pci,
    phys_switch_id: first?.phys_switch_id,
  })
  expect((await vm.must(`ls /sys/bus/pci/devices/${card.pci}/net`)).trim().split('\n')).toEqual([
    card.pf,
    `${card.pf}p1`,
    `${card.pf}rep0`,
  ])
})

test('filters carry frames between the VF and the port that they name, and the other port sees none', async () => {
  const [first, second] = [card.pf, `${card.pf}p1`]
  await vm.must(`set -e
    # Neighbour discovery of IPv6 would be in the counters.
    for dev in ${first} ${second}; do echo 1 >/proc/sys/net/ipv6/conf/$dev/disable_ipv6; done
    for ns in ${NAMESPACES.join(' ')}; do
      ip netns exec $ns sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
    done
    ip link set ${first} up; ip link set ${second} up; ip link set ${card.pf}rep0 up
    ip link set ${card.wire} netns wire0; ip link set ${card.wire}p1 netns wire1
    ip link set ${card.pf}vf0 netns pod0 name net1
    ip -n wire0 link set ${card.wire} up; ip -n wire1 link set ${card.wire}p1 up; ip -n pod0 link set net1 up
    ip -n wire1 address add 10.1.0.10/24 dev ${card.wire}p1
    ip -n pod0 address add 10.1.0.20/24 dev net1
    tc qdisc add dev ${second} clsact; tc qdisc add dev ${card.pf}rep0 clsact
    tc filter add dev ${second} ingress protocol all flower skip_sw action mirred egress redirect dev ${card.pf}rep0
    tc filter add dev ${card.pf}rep0 ingress protocol all flower skip_sw action mirred egress redirect dev ${second}
    until [ "$(ip netns exec pod0 cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done
    ip netns exec wire1 ping -q -c 3 -i 0.2 -W 5 10.1.0.20`)
  const rules = await hardwareRules(vm, card)
  expect(rules.map(({ ingress, text }) => [ingress, text.slice(text.indexOf('->'))])).toEqual([
    ['second', '-> redirect vf0'],
    ['vf0', '-> redirect second'],
  ])
  for (const { packets } of rules) expect(packets).toBeGreaterThanOrEqual(4)
  const counters = await cardCounters(vm, card)
  expect(counters.uplink).toMatchObject({ rx_packets: 0, tx_packets: 0, hw_packets: 0 })
  expect(counters.second?.tx_packets).toBe(rules[1]?.packets)
})

test('in legacy mode the second port is a NIC of its own, beside the embedded switch', async () => {
  await setMode(vm, card, 'legacy')
  await vm.must(`set -e
    ip address add 10.1.0.20/24 dev ${card.pf}p1
    ip -n pod0 link set net1 down
    ip -n wire1 neigh flush all
    ip netns exec wire1 ping -q -c 1 -W 5 10.1.0.20`)
  expect((await cardCounters(vm, card)).vf0?.rx_packets).toBeGreaterThan(0)
})

test('no_eswitch: devlink answers EOPNOTSUPP for the eswitch mode, without a text', async () => {
  await knob(vm, card, 'no_eswitch', 1)
  expect(await refusal(vm, `devlink dev eswitch show ${card.devlink}`)).toMatch(
    /^\S* ?\w*:? ?Operation not supported$/m,
  )
  expect(await refusal(vm, `devlink dev eswitch set ${card.devlink} mode switchdev`)).toMatch(
    /Operation not supported/,
  )
  await knob(vm, card, 'no_eswitch', 0)
  expect(await vm.must(`devlink dev eswitch show ${card.devlink}`)).toMatch(/mode legacy/)
})
