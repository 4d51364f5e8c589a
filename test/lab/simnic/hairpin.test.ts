// simnic with profile mlx5 in legacy mode (from source, not hardware): a filter on the PF that sends frames out of the PF again is a
// hairpin. The embedded switch carries them to the VF that has the address; the filter counts them, and the host's stack sees none.
import { expect, onTestFinished, test } from 'vitest'
import { capture } from '../../../hack/lab/bed/capture.ts'
import { type Card, cardCounters, hardwareRules, knob, refusal } from '../../../hack/lab/bed/simnic.ts'
import { buildTopology, deletePod, newPod, type Topology, tearDown } from '../../../hack/lab/bed/topology.ts'
import { ask, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'

let vm: Lab
let card: Card
let net: Topology

const MAC = ['02:00:00:00:01:00', '02:00:00:00:01:01'] as const
/** Of the host, and of pod0, which answers in the host's name and asks nobody for addresses. */
const HOST = '10.1.0.1'
const PORT = 8080

useSimnic(
  { totalVfs: 2, driverName: 'mlx5_core', profile: 'mlx5' },
  async (machine, cards) => {
    vm = machine
    ;[card] = cards as [Card]
    net = await buildTopology(vm, card, 2)
    for (const vf of [0, 1]) {
      await newPod(vm, `pod${vf}`)
      await vm.must(`set -e
        ip link set ${card.pf} vf ${vf} mac ${MAC[vf]}
        ip link set ${card.pf}vf${vf} address ${MAC[vf]}
        ip netns exec pod${vf} sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
        ip link set ${card.pf}vf${vf} netns pod${vf} name net1`)
    }
    await vm.must(`set -e
      client=$(ip netns exec client-a cat /sys/class/net/eth0/address)
      ip -n pod0 link set net1 arp off up
      ip -n pod0 address add ${HOST}/24 dev net1
      ip -n pod1 link set net1 up
      ip -n pod1 address add 10.1.0.21/24 dev net1
      ip -n pod0 neigh replace 10.1.0.10 lladdr $client dev net1
      ip -n pod0 neigh replace 10.1.0.21 lladdr ${MAC[1]} dev net1
      ip -n client-a neigh replace ${HOST} lladdr ${net.pfMac} dev eth0
      ip -n pod1 neigh replace ${HOST} lladdr ${net.pfMac} dev net1
      tc qdisc add dev ${card.pf} clsact
      for vf in 0 1; do until [ "$(ip netns exec pod$vf cat /sys/class/net/net1/carrier)" = 1 ]; do sleep 0.05; done; done
      ${steer('tcp', 1)}
      ${steer('udp', 2)}`)
  },
  async () => {
    await deletePod(vm, 'pod0')
    await deletePod(vm, 'pod1')
    await tearDown(vm, card)
  },
)

const add = (rule: string) => `tc filter add dev ${card.pf} ingress ${rule}`
const MACS = () => `action pedit ex munge eth dst set ${MAC[0]} munge eth src set ${net.pfMac} pipe`
const TO_PF = () => `action mirred egress redirect dev ${card.pf}`
const flower = (protocol: string, prio: number) =>
  `protocol ip prio ${prio} flower skip_sw dst_ip ${HOST} ip_proto ${protocol} dst_port ${PORT}`
const steer = (protocol: string, prio: number) => add(`${flower(protocol, prio)} ${MACS()} ${TO_PF()}`)

const received = async () => (await cardCounters(vm, card)).vf0?.rx_packets ?? 0
const hairpins = async () => {
  const rules = (await hardwareRules(vm, card)).filter(({ text }) => text.endsWith(', hairpin'))
  return rules.reduce((sum, { packets }) => sum + packets, 0)
}

test('client and neighbour reach the VF by the address of the host, counted by the filters and unseen by the host', async () => {
  const server = await serve(vm, 'pod0', [
    { name: 'pod0', protocol: 'tcp', port: PORT },
    { name: 'pod0', protocol: 'udp', port: PORT },
  ])
  onTestFinished(() => server.stop())
  const atHost = await capture(vm, null, card.pf, `port ${PORT}`)
  const [counted, got] = [await hairpins(), await received()]
  const questions = [
    { protocol: 'tcp', address: HOST, port: PORT, bytes: 200_000 },
    { protocol: 'udp', address: HOST, port: PORT },
  ] as const
  for (const from of ['client-a', 'pod1']) {
    const answers = await ask(vm, from, questions)
    expect(answers.map((one) => [one.server, one.bytes])).toEqual([
      ['pod0', 200_000],
      ['pod0', 1_000],
    ])
  }
  expect(await atHost.stop()).toEqual([])
  const frames = (await hairpins()) - counted
  expect(frames).toBeGreaterThan(200)
  // Broadcasts of the wire reach the VF too.
  expect((await received()) - got).toBeGreaterThanOrEqual(frames)
  const shown = await vm.must(`tc -s filter show dev ${card.pf} ingress`)
  expect(shown.match(/in_hw in_hw_count 1/g)).toHaveLength(2)
  expect(Number(/Sent hardware \d+ bytes (\d+) pkt/.exec(shown)?.[1])).toBeGreaterThan(100)
})

test.each([
  [
    'hairpin_lost: the card counts and nobody receives',
    () => knob(vm, card, 'hairpin_lost', 1),
    () => knob(vm, card, 'hairpin_lost', 0),
  ],
  ['a VF in a VLAN does not receive what has no tag', () => setVlan(100), () => setVlan(0)],
])('%s', async (_, change, undo) => {
  await change()
  onTestFinished(undo)
  const server = await serve(vm, 'pod0', [{ name: 'pod0', protocol: 'udp', port: PORT }])
  onTestFinished(() => server.stop())
  const inPod = await capture(vm, 'pod0', 'net1', `udp port ${PORT}`)
  const counted = await hairpins()
  const [outcome] = await tryAsk(vm, 'client-a', [
    { protocol: 'udp', address: HOST, port: PORT, timeoutMs: 1_000 },
  ])
  expect(outcome).toMatchObject({ ok: false, error: 'ETIMEDOUT' })
  expect(await hairpins()).toBeGreaterThan(counted)
  expect(await inPod.stop()).toEqual([])
})

async function setVlan(vlan: number): Promise<void> {
  await vm.must(`ip link set ${card.pf} vf 0 vlan ${vlan}`)
}

test('translates addresses too, and refuses what the driver refuses in this mode, in its words or without any', async () => {
  const nat = `${flower('tcp', 1).replace(`${PORT}`, '81')} ${MACS().replace('eth src', 'ip dst set 10.1.0.20 munge eth src')}`
  await vm.must(add(`${nat} action csum ip4h and tcp pipe ${TO_PF()}`))
  const translating = (await hardwareRules(vm, card)).find(({ text }) => text.includes('dst_port 81 '))
  expect(translating?.text).toMatch(/csum .*, hairpin$/)

  const other = flower('tcp', 1).replace(`${PORT}`, '82')
  const police = 'action police rate 1mbit burst 10k mtu 65535 conform-exceed drop/pipe'
  const bare = 'RTNETLINK answers: Operation not supported'
  const said = (words: string) => `Error: mlx5_core: ${words}.`
  const refused: readonly (readonly [rule: string, words: string, knob?: string])[] = [
    [`${other} ${police} ${TO_PF()}`, said('Not implemented offload action')],
    [`${other} action vlan push id 5 pipe ${TO_PF()}`, said('Not implemented offload action')],
    [
      `${other} action mirred egress redirect dev lo`,
      said("devices are not on same switch HW, can't offload forwarding"),
    ],
    [`protocol all prio 3 matchall skip_sw ${police.replace('pipe', 'continue')}`, bare],
    [`${other} ${MACS()} ${TO_PF()}`, said('hairpin is not supported'), 'no_hairpin'],
    [`${other.replace('prio 1', 'prio 10')} ${MACS()} ${TO_PF()}`, bare, 'prio_max'],
  ]
  const script = refused.map(([rule, , name]) =>
    [
      ...(name === undefined ? [] : [`echo 1 >${card.debugfs}/${name}`]),
      `echo "$(${add(rule)} 2>&1 | head -1)"`,
      ...(name === undefined ? [] : [`echo 0 >${card.debugfs}/${name}`]),
    ].join('\n'),
  )
  expect((await vm.must(script.join('\n'))).trimEnd().split('\n')).toEqual(refused.map(([, words]) => words))

  // Without ignore_flow_level there is one priority, and it takes a filter.
  await knob(vm, card, 'prio_max', 1)
  onTestFinished(() => knob(vm, card, 'prio_max', 0))
  await vm.must(add(`${other} ${MACS()} ${TO_PF()}`))
  await knob(vm, card, 'profile', 'full')
  onTestFinished(() => knob(vm, card, 'profile', 'mlx5'))
  expect(await refusal(vm, add(`${other.replace('82', '83')} ${MACS()} ${TO_PF()}`))).toBe(
    said('flower offload needs eswitch mode switchdev'),
  )
})
