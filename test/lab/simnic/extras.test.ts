// TOS and TTL, the second VLAN tag, chains, shared blocks and rules that decide nothing: what the profile `full` matches and does
// with real frames, and what profiles without these refuse.
import { beforeEach, expect, test } from 'vitest'
import { type Card, hardwareRules, knob, refusal, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
const POD = '02:00:00:00:00:05'

async function setUp(machine: Lab, cards: readonly Card[]): Promise<void> {
  vm = machine
  ;[card] = cards as [Card]
  await setVfs(vm, card, 1)
  await setMode(vm, card, 'switchdev')
  for (const ns of ['wire', 'pod']) await newPod(vm, ns)
  await vm.must(`set -e
    for dev in ${card.pf} ${card.pf}rep0; do ip link set $dev up; tc qdisc add dev $dev clsact; done
    ip link set ${card.wire} netns wire name wire
    ip link set ${card.pf}vf0 netns pod name net1 address ${POD}
    for at in "wire wire 10" "pod net1 20"; do
      set -- $at
      ip -n $1 address add 10.1.0.$3/24 dev $2; ip -n $1 address add fd01::$3/64 dev $2 nodad
      ip -n $1 link set $2 up
    done
    mac=$(ip netns exec wire cat /sys/class/net/wire/address)
    ip -n wire neigh replace 10.1.0.20 lladdr ${POD} dev wire
    ip -n wire neigh replace fd01::20 lladdr ${POD} dev wire
    ip -n pod neigh replace 10.1.0.10 lladdr $mac dev net1
    ip -n pod neigh replace fd01::10 lladdr $mac dev net1
    tc filter add dev ${card.pf}rep0 ingress protocol all matchall skip_sw ${TO('')}`)
}
useSimnic({ totalVfs: 1 }, setUp, async () => {
  for (const ns of ['wire', 'pod']) await deletePod(vm, ns)
  await vm.must(`until [ -e /sys/class/net/wire ]; do sleep 0.05; done; ip link set wire name ${card.wire}`)
})
beforeEach(async () => {
  await vm.must(
    `for chain in 0 1 7; do tc filter delete dev ${card.pf} ingress chain $chain 2>/dev/null; done; true`,
  )
})

const TO = (port: string) => `action mirred egress redirect dev ${card.pf}${port}`
const add = (filter: string) => vm.must(`tc filter add dev ${card.pf} ingress ${filter}`)
/** Sends one ping from the wire to the pod; true if the pod's answer came back. */
const ping = async (options: string, address = '10.1.0.20') =>
  (await vm.sh(`ip netns exec wire ping -q -c 1 -W 1 ${options} ${address}`)).code === 0
/** Packets of the rules that the uplink has, by priority. */
const packets = async () =>
  Object.fromEntries(
    (await hardwareRules(vm, card)).flatMap(({ ingress, prio, packets: count }) =>
      ingress === 'uplink' ? [[prio, count]] : [],
    ),
  )

test('TOS and TTL of IPv4, traffic class and hop limit of IPv6, with masks', async () => {
  await add(`prio 1 protocol ip flower skip_sw ip_tos 0x20/0xe0 action drop`)
  await add(`prio 2 protocol ip flower skip_sw ip_ttl 9 action drop`)
  await add(`prio 3 protocol ipv6 flower skip_sw ip_tos 0xb8 action drop`)
  await add(`prio 4 protocol ipv6 flower skip_sw ip_ttl 7 action drop`)
  await add(`prio 5 protocol all flower skip_sw ${TO('rep0')}`)
  const answered = [
    await ping('-Q 0x28'),
    await ping('-Q 0x48'),
    await ping('-t 9'),
    await ping('-t 10'),
    await ping('-Q 0xb8', 'fd01::20'),
    await ping('-Q 0xbc', 'fd01::20'),
    await ping('-t 7', 'fd01::20'),
    await ping('-t 8', 'fd01::20'),
  ]
  expect(answered).toEqual([false, true, false, true, false, true, false, true])
  expect(await packets()).toMatchObject({ 1: 1, 2: 1, 3: 1, 4: 1 })
})

test('pedit writes the TOS of IPv4 and the traffic class of IPv6, in part or as a whole', async () => {
  const rewritten = (prio: number, protocol: string, munge: string, csum = '') =>
    add(`prio ${prio} protocol ${protocol} flower skip_sw \
      action pedit ex munge ${munge} pipe ${csum} ${TO('rep0')}`)
  await rewritten(1, 'ip', 'ip dsfield set 0x7c retain 0xfc', 'action csum ip4h pipe')
  await rewritten(2, 'ipv6', 'ip6 traffic_class set 0x31')
  const argv = 'ip netns exec pod timeout 60 tcpdump -i net1 -vnl --immediate-mode -Q in -c2'.split(' ')
  const seen = await vm.spawn([...argv, 'icmp or icmp6'], { stdin: '' })
  await expect.poll(() => seen.stderr(), { timeout: 30_000 }).toMatch(/listening/)
  // A receiver drops frames whose header has a wrong sum: an answer shows that both are right.
  expect([await ping('-Q 0x83'), await ping('-Q 0x83', 'fd01::20')]).toEqual([true, true])
  const { stdout } = await seen.wait()
  expect(stdout).toMatch(/tos 0x7f/)
  expect(stdout).toMatch(/class 0x31/)
})

test('goto leads to another chain, from whose rules a frame without a match goes to the host', async () => {
  await add(`prio 1 chain 7 protocol ip flower skip_sw ip_ttl 9 ${TO('rep0')}`)
  expect(await ping('-t 9')).toBe(false)
  expect(await packets()).toEqual({ 1: 0 })
  await add(`prio 3 protocol ip flower skip_sw action goto chain 7`)
  await add(`prio 4 protocol ip flower skip_sw ${TO('rep0')}`)
  expect([await ping('-t 9'), await ping('-t 10')]).toEqual([true, false])
  expect(await packets()).toEqual({ 1: 1, 3: 2, 4: 0 })
  const shown = (await hardwareRules(vm, card)).map(({ text }) => text)
  expect(shown.find((text) => text.startsWith('chain 7'))).toMatch(/ip_ttl 9/)
  const back = `prio 1 chain 7 protocol ip flower skip_sw ip_ttl 8 action goto chain 3`
  expect(await refusal(vm, `tc filter add dev ${card.pf} ingress ${back}`)).toBe(
    'Error: simnic: cannot go from chain 7 to chain 3: must be a higher one.',
  )
})

test('a rule that decides nothing does its actions and gives the frame to the host', async () => {
  await add(`prio 1 protocol ip flower skip_sw action mirred egress mirror dev ${card.pf}rep0`)
  await add('prio 2 protocol ip flower skip_hw ip_proto icmp action drop')
  // The pod has its copy, and the kernel behind the card the frame.
  expect(await ping('')).toBe(true)
  expect(await packets()).toEqual({ 1: 1 })
  expect(await vm.must(`tc -s filter show dev ${card.pf} ingress prio 2`)).toMatch(
    /not_in_hw[\s\S]*Sent \d+ bytes 1 pkt/,
  )
})

test('the number of tags and the second tag', async () => {
  await vm.must(`set -e
    ip netns exec wire sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
    ip -n wire link add link wire name w5 type vlan id 5; ip -n wire link add link w5 name w56 type vlan id 6
    for dev in w5 w56; do ip -n wire link set $dev up; done
    ip -n wire address add 10.5.0.10/24 dev w5; ip -n wire neigh add 10.5.0.20 lladdr ${POD} dev w5
    ip -n wire address add 10.6.0.10/24 dev w56; ip -n wire neigh add 10.6.0.20 lladdr ${POD} dev w56`)
  await add(
    `prio 1 protocol 802.1q flower skip_sw vlan_id 5 vlan_ethtype 802.1q cvlan_id 6 cvlan_ethtype ip action drop`,
  )
  await add(
    `prio 2 protocol all flower skip_sw num_of_vlans 1 action vlan push id 9 pipe action goto chain 1`,
  )
  await add(`prio 3 chain 1 protocol all flower skip_sw num_of_vlans 2 action drop`)
  await ping('', '10.6.0.20')
  await ping('', '10.5.0.20')
  expect(await packets()).toEqual({ 1: 1, 2: 1, 3: 1 })
  await vm.must('ip -n wire link delete w5')
})

test('a profile without these refuses them, each with its reason', async () => {
  await knob(vm, card, 'profile', 'mlx5')
  try {
    const words = async (filter: string) =>
      (await refusal(vm, `tc filter add dev ${card.pf} ingress ${filter}`)).split('\n')[0]
    expect(await words(`chain 3 protocol ip flower skip_sw ip_ttl 4 action drop`)).toBe(
      'Error: Driver supports only offload of chain 0.',
    )
    expect(await words(`protocol all flower skip_sw num_of_vlans 1 action drop`)).toBe(
      'Error: simnic: Unsupported key.',
    )
    await vm.must(`tc filter add dev ${card.pf} ingress protocol ip flower skip_sw ip_ttl 4 action drop`)
  } finally {
    await knob(vm, card, 'profile', 'full')
  }
})

test('a block of two ports has one filter for both, and indev tells them apart', async () => {
  await vm.must(`set -e
    for dev in ${card.pf} ${card.pf}rep0; do tc qdisc delete dev $dev clsact; tc qdisc add dev $dev ingress_block 22 clsact; done
    tc filter add block 22 prio 1 protocol ip flower skip_sw indev ${card.pf} ip_ttl 9 action drop
    tc filter add block 22 prio 2 protocol ip flower skip_sw ip_ttl 9 action drop`)
  await ping('-t 9')
  await vm.sh('ip netns exec pod ping -q -c 1 -W 1 -t 9 10.1.0.10')
  const counts = (await hardwareRules(vm, card)).map(
    ({ ingress, prio, packets: count }) => `${ingress} ${prio}: ${count}`,
  )
  expect(counts.sort()).toEqual(['uplink 1: 1', 'uplink 2: 0', 'vf0 1: 0', 'vf0 2: 1'])
  // Each filter of the block shows the sum.
  expect(await vm.must('tc -s filter show block 22')).toMatch(
    /in_hw_count 2[\s\S]*Sent hardware \d+ bytes 1 pkt/,
  )
  await vm.must(`tc qdisc delete dev ${card.pf} clsact; tc qdisc delete dev ${card.pf}rep0 clsact`)
})
