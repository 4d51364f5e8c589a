// Rules that translate ports run in simnic alone: TCP and UDP pass in hardware, and wrong sums do not.
import { beforeEach, expect, test } from 'vitest'
import { type CapturedFrame, capture } from '../../../hack/lab/bed/capture.ts'
import { type Card, hardwareRules } from '../../../hack/lab/bed/simnic.ts'
import {
  buildTopology,
  CLIENT_A,
  CLIENT_B,
  HOST,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import { type Ask, ask, type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { useSimnic } from '../../support/simnic-bed.ts'
import {
  addNat,
  allNat,
  deleteNat,
  flushNat,
  type NatRule,
  POD,
  podOnSwitchdev,
  prioOf,
  removePod,
} from '../../support/simnic-pod.ts'

let vm: Lab
let card: Card
let net: Topology
let pod: Server

async function setUp(machine: Lab, cards: readonly Card[]): Promise<void> {
  vm = machine
  ;[card] = cards as [Card]
  net = await buildTopology(vm, card, 2)
  await podOnSwitchdev(vm, card, 2)
  pod = await serve(vm, POD.namespace, [
    { name: 'pod-tcp', protocol: 'tcp', port: 80 },
    { name: 'pod-udp', protocol: 'udp', port: 80 },
  ])
}
useSimnic({}, setUp, async () => {
  await pod.stop()
  await removePod(vm, card)
  await tearDown(vm, card)
})
beforeEach(() => vm.must(flushNat(card)))

/** Options of tcpdump with which it loses none of a burst: the beginning of each frame, 16 MiB of buffer. */
const ALL_OF_THEM = '-s 128 -B 16384'

const install = (rules: readonly NatRule[]) =>
  vm.must(`set -e\n${rules.map((rule) => addNat(card, net, rule)).join('\n')}`)

const question = (family: 'v4' | 'v6', protocol: 'tcp' | 'udp', more: Partial<Ask> = {}): Ask => ({
  protocol,
  address: HOST[family],
  port: 8080,
  bytes: protocol === 'tcp' ? 60_000 : 1_200,
  ...more,
})

interface TcFilter {
  readonly pref: number
  readonly options?: {
    readonly in_hw?: boolean
    readonly skip_sw?: boolean
    readonly in_hw_count?: number
    readonly actions: readonly {
      readonly kind: string
      readonly stats?: { readonly packets: number; readonly hw_packets?: number; readonly hw_bytes?: number }
    }[]
  }
}

async function tcFilters(device: string): Promise<TcFilter[]> {
  const json = await vm.must(`tc -j -s filter show dev ${device} ingress`)
  return (JSON.parse(json) as TcFilter[]).filter(({ options }) => options !== undefined)
}

const total = (frames: readonly CapturedFrame[]) => ({
  packets: frames.length,
  bytes: frames.reduce((sum, { length }) => sum + length, 0),
})

async function counter(name: string): Promise<number> {
  const line = await vm.must(`ip netns exec pod nstat -asz ${name} | grep ^${name}`)
  return Number(line.trim().split(/\s+/)[1])
}

test('TCP and UDP of both families pass in hardware alone, and its counters are what was on the wire', async () => {
  await install(allNat())
  const atPod = await capture(vm, POD.namespace, 'net1', `${ALL_OF_THEM} port 80`)
  const atUplink = await capture(vm, null, card.pf, 'port 80 or port 8080')
  const atRep = await capture(vm, null, `${card.pf}rep0`, 'port 80 or port 8080')
  for (const client of [CLIENT_A, CLIENT_B]) {
    const answers = await ask(
      vm,
      client.namespace,
      (['v4', 'v6'] as const).flatMap((family) => [question(family, 'tcp'), question(family, 'udp')]),
    )
    expect(answers.map(({ server, bytes }) => [server, bytes])).toEqual([
      ['pod-tcp', 60_000],
      ['pod-udp', 1_200],
      ['pod-tcp', 60_000],
      ['pod-udp', 1_200],
    ])
    expect(answers.map(({ peer }) => peer.address)).toEqual([client.v4, client.v4, client.v6, client.v6])
  }
  const frames = await atPod.stop()
  expect(await atUplink.stop()).toEqual([])
  expect(await atRep.stop()).toEqual([])

  const rules = await hardwareRules(vm, card)
  expect(rules).toHaveLength(8)
  const filters = { in: await tcFilters(card.pf), out: await tcFilters(`${card.pf}rep0`) }
  for (const rule of allNat()) {
    const { direction, family, protocol } = rule
    const seen = frames.filter(
      ({ destination, text }) =>
        (destination === POD.mac) === (direction === 'in') &&
        text.includes(POD[family]) &&
        /UDP/.test(text) === (protocol === 'udp'),
    )
    expect(seen.length).toBeGreaterThan(1)
    const ingress = direction === 'in' ? 'uplink' : 'vf0'
    const hardware = rules.find((found) => found.ingress === ingress && found.prio === prioOf(rule))
    expect({ rule, packets: hardware?.packets, bytes: hardware?.bytes }).toEqual({ rule, ...total(seen) })

    const options = filters[direction].find(({ pref }) => pref === prioOf(rule))?.options
    expect(options).toMatchObject({ skip_sw: true, in_hw: true, in_hw_count: 1 })
    for (const kind of ['pedit', 'mirred']) {
      const stats = options?.actions.find((action) => action.kind === kind)?.stats
      expect({ rule, kind, packets: stats?.packets, hw: stats?.hw_packets, bytes: stats?.hw_bytes }).toEqual({
        rule,
        kind,
        packets: seen.length,
        hw: seen.length,
        bytes: total(seen).bytes,
      })
    }
  }
})

test('deleting one rule stops the traffic that it carried', async () => {
  const [inward, outward] = allNat() as [NatRule, NatRule]
  await install([inward, outward])
  await ask(vm, CLIENT_A.namespace, [question('v4', 'tcp')])

  await vm.must(deleteNat(card, outward))
  const atRep = await capture(vm, null, `${card.pf}rep0`, 'tcp and src port 80')
  expect(await tryAsk(vm, CLIENT_A.namespace, [question('v4', 'tcp', { timeoutMs: 1_500 })])).toEqual([
    { ok: false, error: 'ETIMEDOUT' },
  ])
  expect((await atRep.stop()).length).toBeGreaterThan(0)

  // Without the way in, the host itself gets the connection, and nobody listens there.
  await vm.must(`${addNat(card, net, outward)}; ${deleteNat(card, inward)}`)
  expect(await tryAsk(vm, CLIENT_A.namespace, [question('v4', 'tcp')])).toEqual([
    { ok: false, error: 'ECONNREFUSED' },
  ])
  expect(await hardwareRules(vm, card)).toHaveLength(1)
})

test('without the right csum the receiver counts wrong sums and nothing gets through', async () => {
  const errors = ['TcpInCsumErrors', 'UdpInCsumErrors', 'Udp6InCsumErrors', 'IpExtInCsumErrors']
  const read = () => Promise.all(errors.map(counter))
  const questions = (['v4', 'v6'] as const).flatMap((family) => [
    question(family, 'tcp', { timeoutMs: 1_500 }),
    question(family, 'udp', { timeoutMs: 1_500 }),
  ])
  const outward = allNat().filter(({ direction }) => direction === 'out')
  const inward = (csum: { v4: string[]; v6: string[] }) =>
    allNat().flatMap((rule) => (rule.direction === 'in' ? [{ ...rule, csum: csum[rule.family] }] : []))

  // A right IPv4 header, so that the sums of TCP and UDP are looked at.
  let before = await read()
  await install([...outward, ...inward({ v4: ['ip4h'], v6: [] })])
  for (const outcome of await tryAsk(vm, CLIENT_A.namespace, questions)) {
    expect(outcome).toEqual({ ok: false, error: 'ETIMEDOUT' })
  }
  let after = await read()
  for (const at of [0, 1, 2]) expect(after[at], errors[at]).toBeGreaterThan(before[at] ?? 0)

  before = after
  await vm.must(flushNat(card))
  await install([...outward, ...inward({ v4: [], v6: ['tcp', 'udp'] })])
  const [tcp, udp] = await tryAsk(vm, CLIENT_A.namespace, questions)
  expect([tcp, udp]).toEqual([
    { ok: false, error: 'ETIMEDOUT' },
    { ok: false, error: 'ETIMEDOUT' },
  ])
  after = await read()
  expect(after[3]).toBeGreaterThan(before[3] ?? 0)

  before = after
  await vm.must(flushNat(card))
  await install(allNat())
  await ask(vm, CLIENT_A.namespace, questions)
  expect(await read()).toEqual(before)
})

test('VLAN tags are popped on the way in and pushed on the way out', async () => {
  await vm.must(`set -e
    ip link add link ${card.pf} name tagged type vlan id 100; ip link set tagged up
    ip address add 10.3.0.1/24 dev tagged; ip address add fd00:3::1/64 dev tagged nodad
    ip -n client-a link add link eth0 name tagged type vlan id 100; ip -n client-a link set tagged up
    ip -n client-a address add 10.3.0.10/24 dev tagged; ip -n client-a address add fd00:3::10/64 dev tagged nodad
    mac=$(ip netns exec client-a cat /sys/class/net/tagged/address)
    ip -n pod route add 10.3.0.0/24 dev net1; ip -n pod route add fd00:3::/64 dev net1
    ip -n pod neigh replace 10.3.0.10 lladdr $mac dev net1
    ip -n pod neigh replace fd00:3::10 lladdr $mac dev net1`)
  try {
    const address = { v4: '10.3.0.1', v6: 'fd00:3::1' }
    const rules = allNat({ vlan: 100 }).map((rule) => ({ ...rule, hostAddress: address[rule.family] }))
    await install(rules)
    const atWire = await capture(vm, 'wire', card.wire, ALL_OF_THEM)
    const atPod = await capture(vm, POD.namespace, 'net1', 'vlan')
    const answers = await ask(
      vm,
      CLIENT_A.namespace,
      (['v4', 'v6'] as const).flatMap((family) => [
        question(family, 'tcp', { address: address[family] }),
        question(family, 'udp', { address: address[family] }),
      ]),
    )
    expect(answers.map(({ peer }) => peer.address)).toEqual([
      '10.3.0.10',
      '10.3.0.10',
      'fd00:3::10',
      'fd00:3::10',
    ])
    expect(await atPod.stop()).toEqual([])
    const replies = (await atWire.stop()).filter(({ text }) =>
      /\b(?:10\.3\.0\.1|fd00:3::1)\.8080 >/.test(text),
    )
    expect(replies.length).toBeGreaterThan(100)
    for (const reply of replies) expect(reply).toMatchObject({ vlan: 100, source: net.pfMac })
    for (const rule of await hardwareRules(vm, card)) expect(rule.packets).toBeGreaterThan(0)

    // Another VLAN is another match.
    await vm.must(flushNat(card))
    await install(rules.map((rule) => (rule.direction === 'in' ? { ...rule, vlan: 101 } : rule)))
    expect(
      await tryAsk(vm, CLIENT_A.namespace, [
        question('v4', 'tcp', { address: address.v4, timeoutMs: 1_500 }),
      ]),
    ).toEqual([{ ok: false, error: 'ECONNREFUSED' }])
  } finally {
    await vm.must(`ip link delete tagged; ip -n client-a link delete tagged
      ip -n pod route delete 10.3.0.0/24 dev net1; ip -n pod route delete fd00:3::/64 dev net1`)
  }
})
