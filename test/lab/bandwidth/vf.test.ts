// Bandwidth of pods with a VF of a real driver in legacy mode (igb). The PF limits frames from the pod, or the pod itself
// where the PF has no such rate; an ifb in front of the interface limits frames to the pod. QEMU's igb takes rates of VFs
// and does not keep them: test/lab/bandwidth/kinds.test.ts measures rates on a simulated card.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
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
import { type Meter, type Rate, type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  buildTopology,
  CLIENT_A,
  deletePod,
  HOST,
  isReachable,
  linkIsReady,
  loadIgb,
  newPod,
  type Topology,
  tearDown,
} from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, PluginConfig, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import {
  datagramsOf,
  expectWithin,
  limitFor,
  look,
  SETTLED_TCP,
  SETTLED_UDP,
  unlimited,
} from '../../support/limits.ts'
import { recordedLimits } from '../../support/rate-bed.ts'
import { type Bandwidth, OWN_HANDLE } from '../../support/rate-veth.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const POD = 'pod-one'
const POD4 = '10.1.0.5'
const POD6 = 'fd00:1::5'

let lab: Lab
let meter: Meter
let runtime: Runtime
let net: Topology
let list: ConfigList
let ours: PluginConfig
/** The answer of vf-attach, once for all tests: they call vf-offload alone. */
let result: CniResult
/** The host before the pod came, and what limits change after. */
let before: Snapshot
let attached: string
/** A test has added limits and not shown that DEL takes them. */
let mayBeThere = false

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  meter = startMeter(lab)
  net = await buildTopology(lab, await loadIgb(lab), 1)
  await newPod(lab, POD)
  before = await snapshot(lab)
  const device = net.vfs[0]?.pci ?? ''
  const ipam = { ...staticIpam(`${POD4}/24`, `${POD6}/64`), routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  const attach = attachConfig(device, { ipam })
  ours = { type: 'vf-offload', deviceID: device, capabilities: { bandwidth: true, portMappings: true } }
  list = listOf(attach, ours)
  result = await runtime.add(listOf(attach), pod())
  await linkIsReady(lab, POD)
  await isReachable(lab, CLIENT_A.namespace, [POD4, POD6])
  attached = await lookAtState()
})
afterEach(async () => {
  if (mayBeThere) await call('DEL', undefined)
})
afterAll(async () => {
  await meter?.end()
  await runtime.del(list, pod())
  await deletePod(lab, POD)
  if (net !== undefined) await tearDown(lab, net)
})

const pod = (capabilityArgs: Record<string, unknown> = {}) =>
  attachment(`/run/netns/${POD}`, { capabilityArgs })

/** All that limits change. */
const lookAtState = () => lab.must(stateScript(net.pf, [{ name: POD }]))

const call = (
  command: string,
  bandwidth: Bandwidth | undefined,
  config: object = {},
  more: Record<string, unknown> = {},
) =>
  runtime.call(
    command,
    list,
    { ...ours, ...config },
    pod(bandwidth === undefined ? more : { ...more, bandwidth }),
    { prevResult: result },
  )

async function add(bandwidth: Bandwidth, more: Record<string, unknown> = {}): Promise<string> {
  mayBeThere = true
  const { code, stdout, stderr } = await call('ADD', bandwidth, {}, more)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return stderr
}

async function delLeavesNothing(): Promise<void> {
  await silently(call('DEL', undefined))
  await isAsBefore()
}

/** After a DEL: nothing is left. */
async function isAsBefore(): Promise<void> {
  expect(stateDifferences(attached, await lookAtState())).toEqual([])
  mayBeThere = false
}

async function vfRate(): Promise<number> {
  const [pf] = await json(lab, `ip -j -d link show dev ${net.pf}`)
  const [vf] = (pf?.vfinfo_list ?? []) as { rate: { max_tx: number } }[]
  return vf?.rate.max_tx ?? -1
}

const toPod: Stream = { from: CLIENT_A.namespace, to: POD, address: POD4, port: 5000 }
const fromPod: Stream = { from: POD, to: CLIENT_A.namespace, address: CLIENT_A.v4, port: 5001 }
/** Each stream has got something. */
const eachOf = (mbit: number) => (rates: readonly Rate[]) => rates.every((rate) => rate.mbit > 0.02 * mbit)

test('B9: TCP gets its rate both ways, over both families; the report says who limits it; nothing is left', async () => {
  const plain = await unlimited(meter, toPod)
  // A rate that is no whole number of Mbit/s within 5 %, so that the pod's own shaper does it: below 9 there are such.
  const mbit = Math.min(8, limitFor(plain)) + 0.45
  const [rate, burst] = [Math.round(mbit * 1e6), Math.round(mbit * 250_000)]
  const bandwidth = { ingressRate: rate, ingressBurst: burst, egressRate: rate, egressBurst: burst }
  await add(bandwidth)
  const both = [toPod, { ...toPod, address: POD6, port: 5002 }].map((stream) => ({
    ...stream,
    ...SETTLED_TCP,
  }))
  const down = await look(meter, both, mbit, [90, 105], eachOf(mbit))
  const up = await look(meter, [{ ...fromPod, ...SETTLED_TCP }], mbit, [90, 105])
  console.info(`unlimited ${plain} Mbit/s, limit ${mbit}: ${down.looks} to the pod, ${up.looks} from it, %`)
  for (const verdict of [down, up]) expectWithin(verdict, [90, 105])
  expect(eachOf(mbit)(down.rates)).toBe(true)
  expect(await recordedLimits(lab)).toEqual([
    ['toPod', 'pod', 'ifb'],
    ['fromPod', 'pod', 'tbf'],
  ])
  await silently(call('CHECK', bandwidth))
  await delLeavesNothing()
})

test('IPv4 and IPv6, mapped and direct, share one limit when twice of it is offered', async () => {
  const udp = { from: CLIENT_A.namespace, to: POD, udpMbit: 1000 }
  const mbit = limitFor(await unlimited(meter, { ...udp, address: POD4, port: 6000 }))
  const portMappings = [{ hostPort: 5353, containerPort: 53, protocol: 'udp' }]
  await add({ ingressRate: mbit * 1e6, ingressBurst: mbit * 250_000 }, { portMappings })
  const offered = { ...udp, udpMbit: (2 * mbit) / 3, ...SETTLED_UDP }
  const streams: Stream[] = [
    { ...offered, address: POD4, port: 6000 },
    { ...offered, address: POD6, port: 6001 },
    { ...offered, address: HOST.v4, sendPort: 5353, port: 53 },
  ]
  const verdict = await look(meter, streams, mbit * datagramsOf(2, 1), [90, 105], eachOf(mbit))
  console.info(`limit ${mbit} Mbit/s: three streams together ${verdict.looks} %`)
  expectWithin(verdict, [90, 105])
  // Each of them has got something.
  expect(eachOf(mbit)(verdict.rates)).toBe(true)
  await delLeavesNothing()
})

test('whole Mbit/s are set on the PF, CHECK sees another rate, DEL puts back what was set before', async () => {
  // As vf-attach sets it, by the key max_tx_rate.
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 200`)
  const limit = { egressRate: 99_000_000, egressBurst: 8_000_000 }
  await add(limit)
  expect(await vfRate()).toBe(99)
  await silently(call('CHECK', limit))
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 98`)
  expect(errorOf(await call('CHECK', limit))).toMatchObject({
    code: 104,
    msg: expect.stringContaining('the rate is another one'),
  })
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 99`)
  await silently(call('DEL', undefined))
  expect(await vfRate()).toBe(200)
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 0`)
  await isAsBefore()
})

test('a rate that somebody has changed since is left to them', async () => {
  await add({ egressRate: 99_000_000, egressBurst: 8_000_000 })
  const shown = () => lab.must(`${pluginPath[0]}/vfctl show`)
  expect(await shown()).toContain('max_tx_rate 99 min_tx_rate 0\n      set to 99000000 bit/s; no counters\n')
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 77`)
  expect(await shown()).toContain('      set to 77000000 bit/s now, not 99000000 bit/s; no counters\n')
  await silently(call('DEL', undefined))
  expect(await vfRate()).toBe(77)
  await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 0`)
  await isAsBefore()
})

test('a rate that the driver refuses is kept in the pod, and the reason is said', async () => {
  expect(await add({ egressRate: 400e9, egressBurst: 4_294_967_295 })).toMatch(
    /what the pod sends is limited by tbf \(pod\); not by max_tx_rate: .*EINVAL/,
  )
  const [shaper] = await json(lab, `ip netns exec ${POD} tc -j qdisc show dev net1 root`)
  expect(shaper).toMatchObject({
    kind: 'tbf',
    handle: expect.stringMatching(OWN_HANDLE),
    options: { rate: 50e9 },
  })
  await delLeavesNothing()
})

test('bandwidth.require "outside" takes the limits that the PF can set, and refuses the rest with code 7 and without a trace', async () => {
  const outside = { bandwidth: { require: 'outside' } }
  mayBeThere = true
  for (const bandwidth of [
    { ingressRate: 5_000_000, ingressBurst: 400_000 },
    { egressRate: 1_500_000, egressBurst: 400_000 },
    { egressRate: 5_000_000, egressBurst: 400_000, ingressRate: 5_000_000, ingressBurst: 400_000 },
  ]) {
    const { code, msg } = errorOf(await call('ADD', bandwidth, outside))
    expect([code, msg]).toEqual([7, expect.stringContaining('only inside the pod, and bandwidth.require')])
  }
  await isAsBefore()
  mayBeThere = true
  expect((await call('ADD', { egressRate: 5_000_000, egressBurst: 400_000 }, outside)).code).toBe(0)
  expect(await vfRate()).toBe(5)
  await delLeavesNothing()
})

test('B14: CHECK names what is missing in the pod', async () => {
  const limit = {
    ingressRate: 5_000_000,
    ingressBurst: 400_000,
    egressRate: 1_500_000,
    egressBurst: 400_000,
  }
  const inPod = `ip netns exec ${POD}`
  await add(limit)
  const [ifb = ''] = (await lab.must(`${inPod} ip -br link show type ifb`)).split(' ')
  await silently(call('CHECK', limit))
  // All that is wrong is named, so that one fault may stay beside the next.
  for (const [change, named] of [
    [`${inPod} tc qdisc del dev net1 root`, '"net1" has no shaper of ours'],
    [`${inPod} tc filter del dev net1 ingress`, '"net1" has no filter of ours'],
    [`${inPod} tc qdisc del dev ${ifb} root`, `"${ifb}" has no shaper of ours`],
    [`${inPod} ip link del ${ifb}`, `there is no "${ifb}"`],
  ] as const) {
    await lab.must(change)
    const { code, msg, details = '' } = errorOf(await call('CHECK', limit))
    expect([code, `${msg}; ${details}`]).toEqual([104, expect.stringContaining(named)])
  }
  await delLeavesNothing()
})

test('DEL leaves nothing and puts the rate back when the pod is gone', async () => {
  await add({
    ...{ ingressRate: 5_000_000, ingressBurst: 400_000 },
    ...{ egressRate: 5_000_000, egressBurst: 400_000 },
  })
  expect(await vfRate()).toBe(5)
  await meter.end()
  await deletePod(lab, POD)
  await runtime.del(list, { ...pod(), netns: '' })
  expect(await vfRate()).toBe(0)
  expect(await lab.must('find /var/lib/cni/vf-flower/offload -type f')).toBe('')
  await newPod(lab, POD)
  // After all that the tests have done.
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
