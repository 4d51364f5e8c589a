// Single datagrams through single rules: what matches, what is done to the frame, and the paths without a rule.
import { beforeEach, expect, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
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
let pfMac: string
const MAC = ['02:00:00:00:00:05', '02:00:00:00:00:06'] as const

async function setUp(machine: Lab, cards: readonly Card[]): Promise<void> {
  vm = machine
  ;[card] = cards as [Card]
  await setVfs(vm, card, 2)
  await setMode(vm, card, 'switchdev')
  for (const ns of ['wire', 'pod0', 'pod1']) {
    await newPod(vm, ns)
    // A new namespace forwards IPv4 when the host does at that moment, as it does once a bridge plugin has been there. A pod
    // that gets a frame for somebody else's address would send it on, and the capture would show it twice.
    await vm.must(`ip netns exec ${ns} sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward
      echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'`)
  }
  pfMac = (await vm.must(`cat /sys/class/net/${card.pf}/address`)).trim()
  await vm.must(`set -e
    for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do
      echo 1 >/proc/sys/net/ipv6/conf/$dev/disable_ipv6
      ip link set $dev up; tc qdisc add dev $dev clsact
    done
    ip address add 10.1.0.1/24 dev ${card.pf}
    ip link set ${card.wire} netns wire
    ip -n wire address add 10.1.0.10/24 dev ${card.wire}; ip -n wire link set ${card.wire} up
    ip -n wire neigh replace 10.1.0.1 lladdr ${pfMac} dev ${card.wire}
    for vf in 0 1; do
      ip link set ${card.pf}vf$vf netns pod$vf name net1 address 02:00:00:00:00:0$((5 + vf))
      ip -n pod$vf address add 10.1.0.2$vf/24 dev net1; ip -n pod$vf link set net1 up
      ip -n wire neigh replace 10.1.0.2$vf lladdr 02:00:00:00:00:0$((5 + vf)) dev ${card.wire}
      ip -n pod$vf neigh replace 10.1.0.10 lladdr $(ip netns exec wire cat /sys/class/net/${card.wire}/address) dev net1
    done`)
}
useSimnic({}, setUp, async () => {
  for (const ns of ['wire', 'pod0', 'pod1']) await deletePod(vm, ns)
  await vm.must(`until [ -e /sys/class/net/${card.wire} ]; do sleep 0.05; done`)
})
beforeEach(() =>
  vm.must(`for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do tc filter delete dev $dev ingress; done
    tc -n wire qdisc delete dev ${card.wire} clsact 2>/dev/null; true`),
)

const rule = (text: string, device = card.pf) =>
  vm.must(`tc filter add dev ${device} ingress ${text.replaceAll('REP', `${card.pf}rep`)}`)

/** Sends datagrams of `bytes` bytes from the wire to one port after the other. */
const send = (ports: readonly number[], bytes = 10, address = '10.1.0.1', from = 'wire') =>
  vm.must(`ip netns exec ${from} bash -c '
    for port in ${ports.join(' ')}; do head -c ${bytes} /dev/zero >/dev/udp/${address}/$port; done'`)

/** The frames that arrive in a pod, or for null at the host's end of the PF, while `during` runs. */
async function arrivals(place: string | null, during: () => Promise<unknown>, filter = 'udp or vlan') {
  const seen = await capture(vm, place, place === null ? card.pf : 'net1', filter)
  await during()
  return (await seen.stop()).map(({ text, vlan, source, destination }) => ({
    text,
    vlan,
    source,
    destination,
  }))
}
const ports = (frames: readonly { text: string }[]) =>
  frames.map(({ text }) => Number(/ > [\d.]+\.(\d+):/.exec(text)?.[1]))

const UDP = (port: number) => `protocol ip flower skip_sw ip_proto udp dst_port ${port}`
const TO_POD0 = `action mirred egress redirect dev REP0`

test('lower priorities come first; drop ends a frame, and ok and no match give it to the host', async () => {
  await rule(`prio 3 ${UDP(7)} ${TO_POD0}`)
  await rule(`prio 1 ${UDP(7)} src_ip 10.1.0.10 action drop`)
  await rule(`prio 2 ${UDP(8)} action pass`)
  await rule(`prio 3 ${UDP(8)} ${TO_POD0}`)
  await rule(`prio 4 protocol ip flower skip_sw ip_proto udp ${TO_POD0}`)
  let atHost: number[] = []
  const atPod = await arrivals('pod0', async () => {
    atHost = ports(await arrivals(null, () => send([7, 8, 9])))
  })
  expect({ atHost, atPod: ports(atPod) }).toEqual({ atHost: [8], atPod: [9] })
  const counts = (await hardwareRules(vm, card)).map(({ prio, packets, bytes }) => [prio, packets, bytes])
  // A datagram of 10 bytes is padded to the shortest frame.
  expect(counts.sort()).toEqual([
    [1, 1, 60],
    [2, 1, 60],
    [3, 0, 0],
    [3, 0, 0],
    [4, 1, 60],
  ])
  expect((await cardCounters(vm, card)).uplink?.hw_drops).toBe(1)

  await vm.must(`tc filter delete dev ${card.pf} ingress prio 4`)
  expect(ports(await arrivals(null, () => send([9])))).toEqual([9])
})

test('mirror copies the frame as it is at that point, to another port of the switch', async () => {
  await rule(`prio 1 ${UDP(7)} action mirred egress mirror dev REP1 \
    action pedit ex munge eth dst set ${MAC[0]} munge udp dport set 70 pipe action csum udp pipe ${TO_POD0}`)
  let mirrored: { text: string; destination: string }[] = []
  const redirected = await arrivals('pod0', async () => {
    mirrored = await arrivals('pod1', () => send([7, 7]))
  })
  expect([ports(mirrored), mirrored[0]?.destination]).toEqual([[7, 7], pfMac])
  expect([ports(redirected), redirected[0]?.destination]).toEqual([[70, 70], MAC[0]])
})

test('matches MAC addresses, prefixes, ports, fragments and SCTP ports', async () => {
  await rule(`prio 1 protocol ip flower skip_sw dst_mac 02:00:00:00:00:00/ff:ff:ff:ff:ff:fe action drop`)
  await rule(
    `prio 2 protocol ip flower skip_sw dst_mac ${pfMac} ip_proto udp dst_ip 10.1.0.0/31 dst_port 11 ${TO_POD0}`,
  )
  await rule(`prio 3 protocol ip flower skip_sw ip_flags frag ${TO_POD0}`)
  await rule(`prio 4 protocol ip flower skip_sw ip_flags nofrag ip_proto udp dst_port 12 action drop`)
  const frames = await arrivals('pod0', () => send([10, 11, 12]).then(() => send([12], 3_000)), 'ip')
  expect(ports(frames.filter(({ text }) => !text.includes('> 10.1.0.1:')))[0]).toBe(11)
  // The first fragment shows its ports, the two others do not.
  expect(frames).toHaveLength(4)
  const packets = (await hardwareRules(vm, card)).map(({ prio, packets }) => [prio, packets])
  expect(packets).toEqual([
    [1, 0],
    [2, 1],
    [3, 3],
    [4, 1],
  ])

  // Cards differ in what they make of fragments.
  const packetsOf = async (wanted: number) =>
    (await hardwareRules(vm, card)).find(({ prio }) => prio === wanted)?.packets
  for (const prio of [3, 4]) await vm.must(`tc filter del dev ${card.pf} ingress prio ${prio}`)
  try {
    await rule(`prio 4 protocol ip flower skip_sw ip_proto udp dst_port 12 action drop`)
    for (const [value, dropped] of [
      ['first', 1],
      ['none', 1],
      ['refuse', 2],
    ] as const) {
      await knob(vm, card, 'fragments', value)
      await arrivals(null, () => send([12], 3_000), 'ip')
      expect([value, await packetsOf(4)]).toEqual([value, dropped])
    }
    const nofrag = `protocol ip prio 6 flower skip_sw ip_flags nofrag ip_proto udp action drop`
    expect(await refusal(vm, `tc filter add dev ${card.pf} ingress ${nofrag}`)).toContain(
      'Unsupported match on control.flags 0x1',
    )
  } finally {
    await knob(vm, card, 'fragments', 'first')
  }

  // Ports of a protocol that nobody here speaks: the wire relabels UDP, whose ports are in the same place.
  await rule(`prio 5 protocol ip flower skip_sw ip_proto sctp dst_port 13 action drop`)
  await vm.must(`set -e
    tc -n wire qdisc add dev ${card.wire} clsact
    tc -n wire filter add dev ${card.wire} egress protocol ip flower ip_proto udp \
      action pedit ex munge ip protocol set 132 pipe action csum ip4h`)
  await send([13, 14])
  expect((await hardwareRules(vm, card)).find(({ prio }) => prio === 5)?.packets).toBe(1)
})

test('rewrites and adds to the TTL, and pushes, changes and pops tags', async () => {
  await rule(`prio 1 ${UDP(1)} action pedit ex munge ip ttl set 9 pipe action csum ip4h pipe ${TO_POD0}`)
  await rule(`prio 2 ${UDP(2)} action pedit ex munge ip ttl dec pipe action csum ip4h pipe ${TO_POD0}`)
  await rule(`prio 3 ${UDP(3)} action vlan push id 30 priority 2 ${TO_POD0}`)
  await rule(`prio 4 protocol 802.1q flower skip_sw vlan_id 40 action vlan modify id 41 ${TO_POD0}`)
  await rule(`prio 5 protocol 802.1q flower skip_sw vlan_id 50 vlan_prio 0 action vlan pop ${TO_POD0}`)
  const argv =
    'ip netns exec pod0 timeout 60 tcpdump -i net1 -vnl --immediate-mode -c2 udp port 1 or udp port 2'
  const seen = await vm.spawn(argv.split(' '), { stdin: '' })
  await expect.poll(() => seen.stderr(), { timeout: 30_000 }).toMatch(/listening/)
  await send([1, 2])
  const { stdout } = await seen.wait()
  expect(stdout).not.toMatch(/bad cksum/)
  expect([...stdout.matchAll(/ttl (\d+)/g)].map(([, ttl]) => ttl)).toEqual(['9', '63'])

  await vm.must(`set -e
    for id in 40 50; do
      ip -n wire link add link ${card.wire} name v$id type vlan id $id; ip -n wire link set v$id up
      ip -n wire address add 10.$id.0.10/24 dev v$id; ip -n wire neigh add 10.$id.0.1 lladdr ${pfMac} dev v$id
    done`)
  const frames = await arrivals('pod0', async () => {
    await send([3])
    await send([4], 10, '10.40.0.1')
    await send([5], 10, '10.50.0.1')
  })
  expect(frames.map(({ vlan, text }) => [vlan, / > [\d.]+\.(\d+):/.exec(text)?.[1]])).toEqual([
    [30, '3'],
    [41, '4'],
    [null, '5'],
  ])
  await vm.must('ip -n wire link delete v40; ip -n wire link delete v50')
})

test('tags that a frame has no room for, or no header behind, are refused frame by frame', async () => {
  // One rule pushes one tag; those that continue add up.
  const prios = Array.from({ length: 18 }, (_, at) => at + 1)
  const pushing = (prio: number) =>
    `filter add dev ${card.pf} ingress prio ${prio} protocol all flower skip_sw action vlan push id ${prio} pipe \
      action police rate 1gbit burst 1m mtu 65535 conform-exceed drop/continue`
  await vm.must(`tc -b - <<END\n${prios.map(pushing).join('\n')}\nEND`)
  const drops = async () => (await cardCounters(vm, card)).uplink?.hw_drops ?? 0
  const before = await drops()
  await send([7])
  expect(await drops()).toBe(before + 1)
  const packets = (await hardwareRules(vm, card)).map((found) => found.packets)
  expect(packets).toEqual(Array.from({ length: 18 }, (_, at) => (at <= 16 ? 1 : 0)))

  // A frame of nothing but tags.
  await vm.must(`tc filter delete dev ${card.pf} ingress`)
  await rule(
    `prio 1 protocol 802.1q flower skip_sw vlan_id 1 ${'action vlan pop pipe '.repeat(12)} ${TO_POD0}`,
  )
  const tag = Array.from({ length: 11 }, (_, at) => `munge offset ${4 * at} u32 set 0x00018100`)
  await vm.must(`set -e
    tc -n wire qdisc add dev ${card.wire} clsact
    tc -n wire filter add dev ${card.wire} egress protocol ip flower ip_proto udp \
      action pedit ex munge eth type set 0x8100 pipe action pedit ${tag.join(' ')}`)
  const received = (await cardCounters(vm, card)).vf0
  await send([7], 18)
  const after = (await cardCounters(vm, card)).vf0
  expect((after?.rx_packets ?? 0) - (received?.rx_packets ?? 0)).toBe(1)
  expect((after?.rx_bytes ?? 0) - (received?.rx_bytes ?? 0)).toBeGreaterThanOrEqual(14)
})

test('without rules a VF talks to its representor, and the uplink to the wire', async () => {
  await vm.must(`set -e
    ip address add 10.1.0.200/24 dev ${card.pf}rep0; ip address add 10.1.0.201/24 dev ${card.pf}rep1
    for at in 0 1; do
      echo 0 >/proc/sys/net/ipv4/conf/${card.pf}rep$at/rp_filter
      ip neigh replace 10.1.0.2$at lladdr 02:00:00:00:00:0$((5 + at)) dev ${card.pf}rep$at
      ip -n pod$at neigh replace 10.1.0.20$at lladdr $(cat /sys/class/net/${card.pf}rep$at/address) dev net1
    done`)
  for (const at of [0, 1]) {
    await vm.must(`ping -q -c 2 -i 0.2 -W 1 -I ${card.pf}rep${at} 10.1.0.2${at}`)
  }
  await vm.must('ip netns exec wire ping -q -c 2 -i 0.2 -W 1 10.1.0.1')
  // The representor is the VF's cable: down means no link.
  await vm.must(`ip link set ${card.pf}rep1 down`)
  expect((await vm.must('ip netns exec pod1 cat /sys/class/net/net1/carrier')).trim()).toBe('0')
  // A VF whose link is forced on sends all the same: what its representor misses is counted there.
  await vm.must(`ip link set ${card.pf} vf 1 state enable
    ip netns exec pod1 ping -q -c 1 -W 1 10.1.0.10 >/dev/null; ip link set ${card.pf} vf 1 state auto`)
  const [{ stats64 }] = JSON.parse(await vm.must(`ip -j -s link show ${card.pf}rep1`))
  expect(stats64.rx.dropped).toBeGreaterThan(0)
  await vm.must(`ip link set ${card.pf}rep1 up`)
  await vm.must(`until [ "$(ip netns exec pod1 cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done`)
})

test('frames above the MTU of the receiving port, or for a port that is down, are dropped and counted', async () => {
  await rule(`prio 1 ${UDP(7)} ${TO_POD0}`)
  await vm.must(`ip link set ${card.pf} mtu 2000; ip -n wire link set ${card.wire} mtu 2000`)
  const before = (await cardCounters(vm, card)).vf0
  await send([7], 1_600)
  let after = (await cardCounters(vm, card)).vf0
  expect([after?.rx_too_long, after?.rx_packets]).toEqual([
    (before?.rx_too_long ?? 0) + 1,
    before?.rx_packets,
  ])
  await vm.must(`ip -n pod0 link set net1 mtu 2000`)
  await send([7], 1_600)
  after = (await cardCounters(vm, card)).vf0
  expect(after?.rx_packets).toBe((before?.rx_packets ?? 0) + 1)
  await vm.must('ip -n pod0 link set net1 down')
  await send([7])
  expect((await cardCounters(vm, card)).vf0?.rx_no_port).toBe((before?.rx_no_port ?? 0) + 1)
  await vm.must(`ip -n pod0 link set net1 up mtu 1500; ip link set ${card.pf} mtu 1500`)
})
