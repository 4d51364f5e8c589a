// simnic with profile mlx5 in switchdev mode (from source, not hardware) takes and refuses what the mlx5 driver of Linux 6.12 takes and
// refuses, in its words or without any; a meter counts IP length. The rate limiter of a VF is in rates.test.ts, legacy mode in
// hairpin.test.ts.
import { expect, test } from 'vitest'
import { type Card, hardwareRules, refusal, setMode, setVfs } from '../../../hack/lab/bed/simnic.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card

useSimnic(
  { totalVfs: 2, profile: 'mlx5' },
  async (machine, cards) => {
    vm = machine
    ;[card] = cards as [Card]
    await setVfs(vm, card, 2)
    await setMode(vm, card, 'switchdev')
    for (const ns of ['wire', 'pod0']) await newPod(vm, ns)
    await vm.must(`set -e
      modprobe act_police; modprobe cls_matchall
      for ns in wire pod0; do
        ip netns exec $ns sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
      done
      ip link set ${card.wire} netns wire; ip link set ${card.pf}vf0 netns pod0 name net1
      ip link set ${card.pf} up; ip -n wire link set ${card.wire} up; ip -n pod0 link set net1 up
      ip -n wire address add 10.1.0.10/24 dev ${card.wire}
      ip -n wire neigh replace 10.1.0.20 lladdr 02:00:00:00:01:00 dev ${card.wire}
      for dev in ${card.pf} ${card.pf}rep0 ${card.pf}rep1; do
        ip link set $dev up; tc qdisc add dev $dev clsact
      done
      until [ "$(ip netns exec pod0 cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done`)
  },
  async () => {
    for (const ns of ['wire', 'pod0']) await deletePod(vm, ns)
    await vm.must(`until [ -e /sys/class/net/${card.wire} ]; do sleep 0.05; done`)
  },
)

const add = (rule: string, device = card.pf) =>
  `tc filter add dev ${device} ingress ${rule.replaceAll('REP', `${card.pf}rep`)}`
const rule = (text: string) => vm.must(add(text))
const TO_POD = `action mirred egress redirect dev REP0`
const TO_WIRE = () => `action mirred egress redirect dev ${card.pf}`
const police = (tail: string) => `action police rate 80mbit burst 1m mtu 65535 conform-exceed ${tail}`
const ofPort = async (port: number) =>
  (await hardwareRules(vm, card)).find(({ text }) => text.includes(`dst_port ${port} `))
const send = (port: number) => vm.must(`ip netns exec wire bash -c 'echo >/dev/udp/10.1.0.20/${port}'`)

test('refuses what the driver refuses, in its words', async () => {
  const tcp = 'protocol ip prio 2 flower skip_sw ip_proto tcp dst_port 80'
  const mac = 'action pedit ex munge eth dst set 02:00:00:00:00:05 pipe'
  const matchall = 'protocol all prio 1 matchall skip_sw'
  const rep = `${card.pf}rep0`
  const refused: readonly (readonly [rule: string, words: string, device?: string])[] = [
    [`protocol all prio 2 matchall skip_sw ${police('drop/continue')}`, 'only priority 1 is supported', rep],
    [`${matchall} ${police('drop/pipe')} action drop`, 'matchall policing support only a single action', rep],
    [`${matchall} action drop`, 'mlx5 supports only police action for matchall', rep],
    [`${matchall} ${police('drop/ok')}`, 'Offload not supported when conform action is not continue', rep],
    [`${matchall} ${police('ok/continue')}`, 'Offload not supported when exceed action is not drop', rep],
    [
      `${matchall} ${police('drop/continue').replace(' mtu', ' peakrate 90mbit mtu')}`,
      'Offload not supported when peakrate/avrate/overhead is configured',
      rep,
    ],
    [
      `${matchall} ${police('drop/continue')}`,
      'Ingress rate limit is supported only for Eswitch ports connected to VFs',
    ],
    [
      `${tcp} ${police('drop/continue')} ${TO_POD}`,
      'Offload not supported when conform-exceed action is not pipe, ok, jump or drop',
    ],
    [`${tcp} action csum ip4h pipe ${mac} ${TO_POD}`, 'TC csum action is only offloaded with pedit'],
    [`${tcp} ${mac} action csum sctp pipe ${TO_POD}`, "can't offload TC csum action for some header/s"],
    [
      `protocol ip prio 2 flower skip_sw ip_proto sctp action pedit ex munge ip dst set 1.1.1.1 pipe ${TO_POD}`,
      "can't offload re-write of non TCP/UDP",
    ],
    [`${tcp} ${mac} action drop`, 'Drop with modify header action is not supported'],
    [`${tcp} ${mac} ${mac} ${TO_POD}`, 'curr_pmask and new mask same. Acting twice on same location'],
    [`${tcp} action pedit ex munge ip tos set 4 pipe ${TO_POD}`, 'attempt to offload an unsupported field'],
    [
      `${tcp} ${mac.replace(' pipe', '')} ${police('drop/pipe')}`,
      'Rule must have at least one forward/drop action',
    ],
    [`${tcp} action mirred egress redirect dev REP0`, "can't forward from a VF to itself", rep],
    [
      `${tcp} action mirred egress redirect dev lo`,
      "devices are not on same switch HW, can't offload forwarding",
    ],
    [
      `${tcp} action mirred egress mirror dev REP1 action mirred egress redirect dev REP1`,
      "can't duplicate output to same device",
    ],
    [
      `${tcp} action mirred ingress redirect dev REP0`,
      'redirect to ingress is supported only for OVS internal ports',
    ],
    [`${tcp} action skbedit mark 1 pipe ${TO_POD}`, 'Not implemented offload action'],
    [`${tcp} action mirred egress mirror dev REP0 action drop`, 'Rule cannot support forward+drop action'],
    [
      `${tcp} ${'action vlan push id 5 pipe '.repeat(3)} ${TO_POD}`,
      'Total vlans used is greater than supported',
    ],
    [`${tcp} ${TO_WIRE()}`, "devices are both uplink, can't offload forwarding"],
    [
      'protocol ip prio 4 flower skip_sw ip_proto sctp dst_port 80 action drop',
      'Only UDP and TCP transports are supported for L4 matching',
    ],
    ['protocol arp prio 5 flower skip_sw arp_op request action drop', 'Unsupported key'],
    [`${tcp} ip_flags firstfrag action drop`, 'Unsupported match on control.flags 0x2'],
    [
      `${tcp} ${mac} ${police('drop/pipe')} action csum tcp pipe ${TO_POD}`,
      'TC csum action is only offloaded with pedit',
    ],
    [
      `protocol ip prio 2 flower skip_sw action vlan modify id 5 pipe ${TO_POD}`,
      'VLAN rewrite action must have VLAN protocol match',
    ],
    [
      `protocol 802.1q prio 6 flower skip_sw vlan_id 5 action vlan modify id 6 priority 3 pipe ${TO_POD}`,
      'Changing VLAN prio is not supported',
    ],
    [
      `protocol ipv6 prio 3 flower skip_sw ip_proto tcp ${[
        'eth dst set 02:00:00:00:00:05',
        'eth src set 02:00:00:00:00:06',
        'ip6 src set fd00::1',
        'ip6 dst set fd00::2',
        'ip6 hoplimit set 9',
        'tcp sport set 1',
      ]
        .map((munge, index) => `${index === 0 ? 'action pedit ex ' : ''}munge ${munge}`)
        .join(' ')} pipe action csum tcp pipe ${TO_POD}`,
      '',
    ],
  ]
  const lines = refused.map(([text, , device]) => `echo "$(${add(text, device)} 2>&1 | head -1)"`)
  const answers = (await vm.must(lines.join('\n'))).split('\n')
  expect(refused.map(([text], index) => [text, answers[index]])).toEqual(
    refused.map(([text, words]) => [text, words === '' ? '' : `Error: simnic: ${words}.`]),
  )
  for (const [wish, words] of [
    ['tx_max 1500kbit', 'TX rate value not in link speed units of 1Mbps'],
    ['tx_max 26gbit', 'TX rate value exceed link maximum speed'],
  ]) {
    expect(await refusal(vm, `devlink port function rate set ${card.devlink}/1 ${wish}`)).toContain(words)
  }
})

test('refuses what a card without a capability refuses, a policed filter without a word', async () => {
  const tcp = 'protocol ip prio 2 flower skip_sw ip_proto tcp dst_port 80'
  const bare = 'RTNETLINK answers: Operation not supported'
  const said = (words: string) => `Error: simnic: ${words}.`
  const refused: readonly (readonly [knob: string, command: string, words: string])[] = [
    ['no_meters', add(`${tcp} ${police('drop/pipe')} ${TO_POD}`), bare],
    ['no_meters', `tc actions add ${police('drop/pipe')} index 77 skip_sw`, said('Failed to get flow meter')],
    [
      'no_vlan_2',
      add(`${tcp} action vlan push id 5 pipe ${TO_POD}`),
      said('firmware vlan actions is not supported'),
    ],
    ['prio_max', add(`${tcp} ${TO_POD}`), said('Requested priority is out of supported range')],
    // Such a card has no table behind that of a priority, which a meter needs.
    ['prio_max', add(`${tcp.replace('2', '1')} ${police('drop/pipe')} ${TO_POD}`), bare],
  ]
  const script = refused.map(([name, command]) =>
    [
      `echo 1 >${card.debugfs}/${name}`,
      `echo "$(${command} 2>&1 | head -1)"`,
      `echo 0 >${card.debugfs}/${name}`,
    ].join('\n'),
  )
  expect((await vm.must(script.join('\n'))).trimEnd().split('\n')).toEqual(
    refused.map(([, , words]) => words),
  )
})

test('counts the length of IP packets in a meter, not of frames, and cuts bursts with a word in the kernel log alone', async () => {
  // 72 bytes are 100 in IP and 114 in the frame; hardly a byte comes back while they are sent.
  await rule(`protocol ip prio 1 flower skip_sw ip_proto udp dst_port 7 \
    action police rate 32bit burst 1010 mtu 65535 conform-exceed drop/pipe ${TO_POD}`)
  await vm.must(
    `ip netns exec wire bash -c 'for i in $(seq 20); do printf %072d 0 >/dev/udp/10.1.0.20/7; done'`,
  )
  expect(await ofPort(7)).toMatchObject({ packets: 20, bytes: 20 * 114, drops: 10 })

  await rule(`protocol ip prio 2 flower skip_sw ip_proto udp dst_port 8 \
    action police rate 10gbit burst 3000000000 mtu 65535 conform-exceed drop/pipe ${TO_POD}`)
  expect(await vm.must('dmesg | tail -5')).toMatch(
    /burst\(\d+\) is too large, use HW allowed value\(2147483647\)/,
  )
})

test('takes a vlan pop without a match on a tag, and a frame without one is lost', async () => {
  const udp = 'flower skip_sw ip_proto udp'
  await rule(`protocol ip prio 1 ${udp} dst_port 9 action vlan pop pipe ${TO_POD}`)
  await rule(`protocol ip prio 2 ${udp} dst_port 10 ${TO_POD}`)
  // The VF gets frames of the host too, such as multicast from its representor: those of the wire alone count.
  await vm.must(`set -e
    mac=$(ip netns exec wire cat /sys/class/net/${card.wire}/address)
    tc -n pod0 qdisc add dev net1 clsact
    tc -n pod0 filter add dev net1 ingress protocol all flower skip_hw src_mac $mac action ok`)
  await send(9)
  await send(10)
  expect(await ofPort(9)).toMatchObject({ packets: 1 })
  expect(await ofPort(10)).toMatchObject({ packets: 1 })
  const fromWire = async () =>
    Number(/ (\d+) pkt/.exec(await vm.must('tc -n pod0 -s filter show dev net1 ingress'))?.[1])
  // A frame that comes has not been overtaken by the one before.
  await expect.poll(fromWire, { timeout: 30_000 }).toBeGreaterThan(0)
  expect(await fromWire()).toBe(1)
})

test('takes what the driver takes', async () => {
  const address = 'ip dst set 10.1.0.20 munge ip ttl dec munge tcp dport set 80'
  await rule(`protocol ip prio 2 flower skip_sw ip_proto tcp dst_ip 10.1.0.1 dst_port 8080 ip_flags nofrag \
    action pedit ex munge eth dst set 02:00:00:00:00:05 munge ${address} pipe \
    action csum ip4h and tcp pipe ${police('drop/pipe')} ${TO_POD}`)
  expect((await ofPort(8080))?.text).toMatch(/csum .*, police .*, redirect vf0$/)
})
