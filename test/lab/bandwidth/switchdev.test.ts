// Bandwidth of a pod whose VF has a representor on a bridge with the uplink (simnic, from source, not hardware): from the
// pod by the port's rate, to the pod by one policer in the eSwitch; in software where the card takes neither.
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  json,
  listOf,
  pluginPath,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { type Meter, type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import { type Card, knob } from '../../../hack/lab/bed/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  CLIENT_A,
  deletePod,
  HOST,
  isReachable,
  linkIsReady,
  newPod,
  type Topology,
} from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import {
  type ShownLimit as CountedLimit,
  DATAGRAM,
  datagramsOf,
  expectWithin,
  limitFor,
  look,
  SETTLED_TCP,
  SETTLED_UDP,
  unlimited,
} from '../../support/limits.ts'
import { makeRateBed, RATE_BRIDGE, type RateBed, recordedLimits } from '../../support/rate-bed.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const POD = 'pod-one'
const POD4 = '10.1.0.5'
const POD6 = 'fd00:1::5'
const portMappings = [{ hostPort: 5353, containerPort: 53, protocol: 'udp' }]

let vm: Lab
let meter: Meter
let runtime: Runtime
let card: Card
let net: Topology
let bed: RateBed
let list: ConfigList
/** The answer of vf-attach, once for all tests: they call vf-offload alone. */
let result: CniResult
/** The host before the pod came, and what limits change after. */
let before: Snapshot
let attached: string
/** A test has added limits and not shown that DEL takes them. */
let mayBeThere = false

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  bed = await makeRateBed(vm)
  ;({ card, net } = bed)
  meter = startMeter(vm)
  await newPod(vm, POD)
  before = await snapshot(vm)
  const device = net.vfs[0]?.pci ?? ''
  const ipam = { ...staticIpam(`${POD4}/24`, `${POD6}/64`), routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  list = listOf(attachConfig(device, { ipam, bridge: RATE_BRIDGE }), {
    type: 'vf-offload',
    deviceID: device,
    capabilities: { bandwidth: true, portMappings: true },
  })
  result = await runtime.add({ ...list, plugins: list.plugins.slice(0, 1) }, pod())
  await linkIsReady(vm, POD)
  await isReachable(vm, CLIENT_A.namespace, [POD4, POD6])
  attached = await lookAtState()
  expect(attached).not.toContain('police')
})
afterEach(async () => {
  if (mayBeThere) await ours('DEL', undefined)
})
afterAll(async () => {
  await meter?.end()
  await runtime.del(list, pod())
  try {
    // After all that the tests have done.
    expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
  } finally {
    await deletePod(vm, POD)
    await bed?.end()
  }
})

const pod = (bandwidth?: object) =>
  attachment(`/run/netns/${POD}`, {
    capabilityArgs: bandwidth === undefined ? {} : { portMappings, bandwidth },
  })

/** All that limits change. */
const lookAtState = () => vm.must(stateScript(card.pf, [{ name: POD }]))

function ours(command: string, bandwidth: object | undefined, config: object = {}) {
  const [, plugin] = list.plugins
  if (plugin === undefined) throw new Error('no plugin')
  return runtime.call(command, list, { ...plugin, ...config }, pod(bandwidth), { prevResult: result })
}

async function add(bandwidth: object): Promise<string> {
  mayBeThere = true
  const { code, stdout, stderr } = await ours('ADD', bandwidth)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return stderr
}

const limits = () => recordedLimits(vm)

/** The place where each limit is enforced, as `vfctl show` says it: the text's lines, and the same of --json and of the report. */
async function shownLimits(): Promise<{ lines: string[]; limits: string[][] }> {
  const vfctl = `${pluginPath[0]}/vfctl show`
  const lines = (await vm.must(`${vfctl} pod-one net1`))
    .split('\n')
    .filter((line) => /is limited to|not otherwise/.test(line))
  const own = await shownAsJson()
  const withoutParts = own?.limits.map(({ parts: _, ...rest }) => rest)
  expect(own?.report?.limits).toEqual(withoutParts)
  return {
    lines: lines.map((line) => line.trim()),
    limits: (own?.limits ?? []).map(({ direction, rate, where, means }) => [
      direction,
      `${rate}`,
      where,
      means,
    ]),
  }
}

/** The entry of `vfctl show --json`. */
async function shownAsJson() {
  const all = JSON.parse(await vm.must(`${pluginPath[0]}/vfctl show --json pod-one net1`)) as {
    plugin: string
    limits: ShownLimit[]
    report: { limits: ShownLimit[] } | undefined
  }[]
  return all.find(({ plugin }) => plugin === 'vf-offload')
}

const partsOf = (own: { readonly limits: readonly ShownLimit[] } | undefined): ShownPart[] =>
  (own?.limits ?? []).flatMap(({ parts }) => parts)

type ShownPart = CountedLimit['parts'][number]
interface ShownLimit extends CountedLimit {
  readonly rate: number
  readonly where: string
  readonly means: string
}

async function delLeavesNothing(): Promise<void> {
  await silently(ours('DEL', undefined))
  // Policers are in it.
  expect(stateDifferences(attached, await lookAtState())).toEqual([])
  mayBeThere = false
}

/** All policers of the node, as tc shows them (it has no JSON for that): bits per second, and bytes, rounded to a kilobyte. */
async function policers(): Promise<{ readonly rate: number; readonly burst: number }[]> {
  const units = { bit: 1, Kbit: 1e3, Mbit: 1e6, Gbit: 1e9, b: 1, Kb: 1024, Mb: 1 << 20 }
  const shown = await vm.must('tc actions list action police')
  const number = (value = '', unit = '') => Number(value) * units[unit as keyof typeof units]
  return [...shown.matchAll(/ rate ([\d.]+)([KMG]?bit) burst ([\d.]+)([KM]?b) /g)].map((found) => ({
    rate: number(found[1], found[2]),
    burst: number(found[3], found[4]),
  }))
}

const udp = (mbit: number) => ({ from: CLIENT_A.namespace, to: POD, udpMbit: mbit, ...SETTLED_UDP })

test('both limits are in the NIC, one for mapped and direct, IPv4 and IPv6, and TCP from the pod gets its rate', async () => {
  const fromPod: Stream = { from: POD, to: CLIENT_A.namespace, address: CLIENT_A.v4, port: 5001 }
  const plain = await unlimited(meter, { ...udp(1000), address: POD4, port: 6000 })
  const free = await unlimited(meter, fromPod)
  const [down, up] = [limitFor(plain), limitFor(free)]
  const wishes = {
    ...{ ingressRate: down * 1e6, ingressBurst: down * 160_000 },
    ...{ egressRate: up * 1e6, egressBurst: up * 250_000 },
  }
  await add(wishes)
  expect(await limits()).toEqual([
    ['toPod', 'nic', 'police'],
    ['fromPod', 'nic', 'tx_max'],
  ])
  await silently(ours('CHECK', wishes))
  expect(await shownLimits()).toMatchObject({
    lines: [
      `what comes to the pod is limited to ${down}000000 bit/s: in the NIC (police)`,
      `what the pod sends is limited to ${up}000000 bit/s: in the NIC (tx_max)`,
    ],
    limits: [
      ['toPod', `${down}000000`, 'nic', 'police'],
      ['fromPod', `${up}000000`, 'nic', 'tx_max'],
    ],
  })
  const offered = (2 * down) / 3
  const streams: Stream[] = [
    { ...udp(offered), address: POD4, port: 6000 },
    { ...udp(offered), address: POD6, port: 6001 },
    { ...udp(offered), address: HOST.v4, sendPort: 5353, port: 53 },
  ]
  const together = await look(meter, streams, down * datagramsOf(2, 1), [95, 105])
  const tcp = await look(meter, [{ ...fromPod, ...SETTLED_TCP }], up, [90, 105])
  console.info(
    `unlimited ${plain} and ${free} Mbit/s, limits ${down} and ${up}: ${together.looks} and ${tcp.looks} %`,
  )
  expectWithin(together, [95, 105])
  expectWithin(tcp, [90, 105])
  const [policer] = (await json(vm, 'tc -j -s actions list action police')).flatMap(
    ({ actions = [] }) => actions as { stats: { hw_packets: number; drops: number } }[],
  )
  expect(policer?.stats.hw_packets).toBeGreaterThan(0)
  expect(policer?.stats.drops).toBeGreaterThan(0)
  const parts = partsOf(await shownAsJson())
  expect(parts.find(({ line }) => line.startsWith('tc actions add'))?.counters).toMatchObject({
    hardware: { packets: expect.toSatisfy((count: number) => count >= (policer?.stats.hw_packets ?? 0)) },
    ...{ software: { packets: 0, bytes: 0 }, dropped: policer?.stats.drops },
  })
  expect(parts.filter(({ line }) => line.includes('dst_mac'))).toHaveLength(1)
  expect(parts.find(({ line }) => line.includes('tx_max'))).toMatchObject({ wanted: up * 1e6, now: up * 1e6 })

  await delLeavesNothing()
})

test('B14: CHECK names what in the NIC is not as the ADD left it', async () => {
  const nic = { ingressRate: 5_000_000, ingressBurst: 800_000, egressRate: 9_000_000, egressBurst: 900_000 }
  // No whole number of Mbit/s: a policer on the representor.
  const fraction = { egressRate: 1_500_000, egressBurst: 400_000 }
  const indexOf = `$(tc actions list action police | sed -n 's/.*police 0x\\([0-9a-f]*\\) .*/0x\\1/p')`
  const check = async (wishes: object): Promise<string> => {
    const { code, msg, details = '' } = errorOf(await ours('CHECK', wishes))
    expect(code).toBe(104)
    return `${msg}; ${details}`
  }
  await add(nic)
  // The policer goes by the pod's MAC address.
  const { mac = '' } = result.interfaces?.find(({ name }) => name === 'net1') ?? {}
  await vm.must(`ip -n ${POD} link set net1 address 02:00:00:00:99:01`)
  expect(await check(nic)).toContain(`"net1" has MAC 02:00:00:00:99:01, rules send to ${mac}`)
  await vm.must(`ip -n ${POD} link set net1 address ${mac}`)
  await silently(ours('CHECK', nic))
  for (const [change, named] of [
    [`devlink port function rate set ${card.devlink}/1 tx_max 1mbit`, 'the rate is another one'],
    [
      `devlink port function rate set ${card.devlink}/1 tx_max 9mbit
      tc actions change action police rate 8mbit burst 100kb mtu 65535 conform-exceed drop/pipe index $((${indexOf})) skip_sw`,
      'rate 1000000 instead of 625000',
    ],
    [`tc filter del dev ${card.pf} ingress prio 13`, 'no filter in the NIC has'],
  ] as const) {
    await vm.must(change)
    expect(await check(nic)).toContain(named)
  }
  await silently(ours('DEL', undefined))
  await add(fraction)
  await silently(ours('CHECK', fraction))
  await vm.must(`tc filter del dev ${card.pf}rep0 ingress prio 1`)
  expect(await check(fraction)).toContain('has no policer of ours')
  await delLeavesNothing()
})

test('B11: policers of any rate with the bursts of runtimes are shown as they were made, no counter wraps', async () => {
  const [kubelet, containerd, crio] = [2_147_483_647, 4_294_967_295, 34_359_738_359]
  for (const [rate, ingressBurst, egressBurst] of [
    // Too slow for the port's rate, and more than the port can: the representor has a policer too.
    [8e3, containerd, crio],
    [400e9, crio, kubelet],
  ] as const) {
    const wishes = { ingressRate: rate, ingressBurst, egressRate: rate, egressBurst }
    const said = await add(wishes)
    expect(said).toContain(`ingressBurst ${ingressBurst}: what runtimes send for none`)
    expect(said).toContain(`egressBurst ${egressBurst}: what runtimes send for none`)
    expect(await limits()).toEqual([
      ['toPod', 'nic', 'police'],
      ['fromPod', 'nic', 'police'],
    ])
    // One in a filter is listed too.
    const found = await policers()
    expect(found).toHaveLength(2)
    const tick = Math.ceil((rate / 8) * 64e-9)
    const wanted = Math.min(Math.max((rate / 8) * 0.16, 1518), 0xffffffff - tick)
    for (const shown of found) {
      expect(shown.rate).toBe(rate)
      expect(Math.abs(shown.burst - wanted)).toBeLessThanOrEqual(tick + 1024)
    }
    await silently(ours('CHECK', wishes))
    await delLeavesNothing()
  }
})

test('a limit of a card that takes no policer is in the pod, with the reason; outside is refused with the words of the driver', async () => {
  await knob(vm, card, 'profile', 'sfc')
  onTestFinished(() => knob(vm, card, 'profile', 'full'))
  const wishes = {
    ingressRate: 5_000_000,
    ingressBurst: 800_000,
    egressRate: 1_500_000,
    egressBurst: 400_000,
  }
  const said = await add(wishes)
  expect(said).toMatch(/what comes to the pod is limited by ifb \(pod\); not by police: the driver said/)
  expect(said).toMatch(
    /what the pod sends is limited by tbf \(pod\); not by tx_max: 1500000 bit\/s is no whole/,
  )
  expect(await limits()).toEqual([
    ['toPod', 'pod', 'ifb'],
    ['fromPod', 'pod', 'tbf'],
  ])
  await silently(ours('CHECK', wishes))
  expect((await shownLimits()).lines).toEqual([
    'what comes to the pod is limited to 5000000 bit/s: in the pod, which can take it away with CAP_NET_ADMIN (ifb, counts frames)',
    expect.stringMatching(/^not otherwise: police: the driver said/),
    'what the pod sends is limited to 1500000 bit/s: in the pod, which can take it away with CAP_NET_ADMIN (tbf, counts frames)',
    expect.stringMatching(/^not otherwise: tx_max: 1500000 bit\/s is no whole/),
    expect.stringMatching(/^not otherwise: police: the driver said/),
  ])
  await silently(ours('DEL', undefined))
  expect(errorOf(await ours('ADD', wishes, { bandwidth: { require: 'outside' } }))).toMatchObject({
    code: 101,
    msg: expect.stringContaining('Cannot limit what comes to the pod in the NIC: police: the driver said'),
  })
  expect(stateDifferences(attached, await lookAtState())).toEqual([])
  mayBeThere = false
})

test('a rate that the PF has given the VF is lowered there and comes back; one that is lower stays', async () => {
  // As vf-attach sets it, by the key max_tx_rate.
  await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate 7`)
  const vfRate = async () =>
    /max_tx_rate \d+/.exec(await vm.must(`ip link show dev ${card.pf} | grep 'vf 0 '`))?.[0]
  expect(await vfRate()).toBe('max_tx_rate 7')
  for (const [mbit, now] of [
    [3, 'max_tx_rate 3'],
    [100, 'max_tx_rate 7'],
  ] as const) {
    const wishes = { egressRate: mbit * 1e6, egressBurst: mbit * 100_000 }
    const said = await add(wishes)
    expect(said.includes('the VF is limited to 7 Mbit/s already, which stays')).toBe(mbit > 7)
    expect(await limits()).toEqual([['fromPod', 'nic', 'max_tx_rate']])
    expect(await vfRate()).toBe(now)
    await silently(ours('CHECK', wishes))
    await silently(ours('DEL', undefined))
    expect(await vfRate()).toBe('max_tx_rate 7')
  }
  await vm.must(`ip link set ${card.pf} vf 0 max_tx_rate 0`)
  await delLeavesNothing()
})

test('a rate that is no whole number of Mbit/s is policed on the representor', async () => {
  await add({ egressRate: 1_500_000, egressBurst: 400_000 })
  expect(await limits()).toEqual([['fromPod', 'nic', 'police']])
  expect(await shownLimits()).toMatchObject({
    lines: [
      'what the pod sends is limited to 1500000 bit/s: in the NIC (police)',
      expect.stringMatching(/^not otherwise: tx_max: 1500000 bit\/s is no whole/),
    ],
    limits: [['fromPod', '1500000', 'nic', 'police']],
  })
  expect(await vm.must(`tc filter show dev ${card.pf}rep0 ingress prio 1`)).toMatch(/skip_sw[\s\S]*in_hw/)
  const verdict = await look(
    meter,
    [{ ...udp(3), from: POD, to: CLIENT_A.namespace, address: CLIENT_A.v4, port: 5002 }],
    1.5 * DATAGRAM,
    [95, 105],
  )
  expectWithin(verdict, [95, 105])
  const [police] = partsOf(await shownAsJson())
  expect(police?.line).toContain('action police')
  expect(police?.counters?.hardware.packets).toBeGreaterThan(0)
  expect(police?.counters?.dropped).toBeGreaterThan(0)
  await delLeavesNothing()
})

test('untagged frames have the limit on a bridge that sorts frames by VLAN, and a limit opens no way into another VLAN', async () => {
  await vm.must(`ip link set ${RATE_BRIDGE} type bridge vlan_filtering 1`)
  const wishes = { ingressRate: 5_000_000, ingressBurst: 800_000 }
  const metersAre = async (count: number) => {
    const shown = await vm.must(`tc filter show dev ${card.pf} ingress`)
    expect(shown.match(/pref 1[3-6] flower.* handle/g) ?? []).toHaveLength(count)
  }
  await add(wishes)
  await metersAre(2)
  expect(await limits()).toEqual([['toPod', 'nic', 'police']])
  await silently(ours('CHECK', wishes))
  await isReachable(vm, CLIENT_A.namespace, [POD4, POD6])
  await silently(ours('DEL', undefined))

  // The uplink does not carry VLAN 20: what the client sends, untagged, is none of the pod's.
  const echoes = () =>
    vm.must(`ip netns exec ${POD} awk '/^Icmp:/ { if (at) print $at; for (i = 1; i <= NF; i++) if ($i == "InEchos") at = i }' /proc/net/snmp
      ip -n ${CLIENT_A.namespace} neigh show ${POD4} | grep -c PERMANENT`)
  await vm.must(`set -e
    bridge vlan add dev ${card.pf}rep0 vid 20 pvid untagged; bridge vlan del dev ${card.pf}rep0 vid 1
    set -- $(ip -n ${CLIENT_A.namespace} neigh show ${POD4})
    ip -n ${CLIENT_A.namespace} neigh replace ${POD4} lladdr $5 dev $3 nud permanent`)
  await add(wishes)
  await metersAre(0)
  const heard = await echoes()
  await vm.must(`ip netns exec ${CLIENT_A.namespace} ping -c 3 -i 0.2 -W 1 ${POD4} || true`)
  expect(await echoes()).toBe(heard)
  await vm.must(`set -- $(ip -n ${CLIENT_A.namespace} neigh show ${POD4}); ip -n ${CLIENT_A.namespace} neigh del ${POD4} dev $3
    bridge vlan add dev ${card.pf}rep0 vid 1 pvid untagged; bridge vlan del dev ${card.pf}rep0 vid 20
    ip link set ${RATE_BRIDGE} type bridge vlan_filtering 0`)
  await delLeavesNothing()
})
