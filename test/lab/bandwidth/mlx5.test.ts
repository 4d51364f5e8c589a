// Limits on a card with the driver name and the limits of mlx5 (simnic, from source, not hardware): what it does otherwise
// than it is asked to is not asked for. And a VF there that a program drives, and a neighbour on the same card.
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import {
  attachConfig,
  attachment,
  errorOf,
  listOf,
  silently,
  staticIpam,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { stateDifferences, stateScript } from '../../../hack/lab/bed/port-state.ts'
import { type Meter, type Rate, startMeter } from '../../../hack/lab/bed/rate.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import {
  CLIENT_A,
  deletePod,
  HOST,
  isReachable,
  linkIsReady,
  newPod,
} from '../../../hack/lab/bed/topology.ts'
import type { CniResult, ConfigList, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { datagramsOf, expectWithin, limitFor, look, SETTLED_UDP, unlimited } from '../../support/limits.ts'
import { makeRateBed, RATE_BRIDGE, type RateBed, recordedLimits } from '../../support/rate-bed.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const pods = {
  'pod-one': { vf: 0, v4: '10.1.0.5', v6: 'fd00:1::5' },
  'pod-two': { vf: 1, v4: '10.1.0.6', v6: 'fd00:1::6' },
} as const
type Pod = keyof typeof pods
const [one, two] = ['pod-one', 'pod-two'] as const
const portMappings = [{ hostPort: 5353, containerPort: 53, protocol: 'udp' }]

let vm: Lab
let meter: Meter
let runtime: Runtime
let bed: RateBed
/** The host before any pod came. */
let before: Snapshot
/** The result of vf-attach for pod-one, for the first two tests, which call vf-offload alone; and the state that limits change, after. */
let result: CniResult
let there: string
/** A test has added limits and not shown that DEL takes them. */
let mayBeThere = false
let list: ConfigList

beforeAll(async () => {
  vm = await lab()
  runtime = testRuntime(vm)
  bed = await makeRateBed(vm, { driverName: 'mlx5_core', profile: 'mlx5' })
  meter = startMeter(vm)
  for (const pod of [one, two]) await newPod(vm, pod)
  await vm.must('modprobe uio_pci_generic')
  before = await snapshot(vm)
  list = listFor(one, ipamOf(one))
  result = await attach(one)
  await attach(two)
  there = await lookAtState()
})
afterEach(async () => {
  if (mayBeThere) await ours('DEL', {})
})
afterAll(async () => {
  await meter?.end()
  for (const pod of [one, two]) {
    await runtime.del(listFor(pod, {}), of(pod))
    await deletePod(vm, pod)
  }
  await bed?.end()
})

const of = (pod: Pod, capabilityArgs: object = {}) =>
  attachment(`/run/netns/${pod}`, { containerID: pod, capabilityArgs: { ...capabilityArgs } })

const pciOf = (pod: Pod) => bed.net.vfs[pods[pod].vf]?.pci ?? ''

function listFor(pod: Pod, attach: object): ConfigList {
  const capabilities = { bandwidth: true, portMappings: true }
  const ours = { type: 'vf-offload', deviceID: pciOf(pod), capabilities }
  return listOf(attachConfig(pciOf(pod), { bridge: RATE_BRIDGE, ...attach }), ours)
}

const ipamOf = (pod: Pod) => {
  const { v4, v6 } = pods[pod]
  return { ipam: { ...staticIpam(`${v4}/24`, `${v6}/64`), routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] } }
}

const mainOf = (whole: ConfigList): ConfigList => ({ ...whole, plugins: whole.plugins.slice(0, 1) })

/** vf-attach alone. */
async function attach(pod: Pod): Promise<CniResult> {
  const { v4, v6 } = pods[pod]
  const made = await runtime.add(mainOf(listFor(pod, ipamOf(pod))), of(pod))
  await linkIsReady(vm, pod)
  await isReachable(vm, CLIENT_A.namespace, [v4, v6])
  return made
}

/** All that limits change. */
const lookAtState = () => vm.must(stateScript(bed.card.pf, [{ name: one }]))

/** A call of ours for pod-one. */
function ours(command: string, capabilityArgs: object, config: object = {}) {
  const [, plugin] = list.plugins
  if (plugin === undefined) throw new Error('no plugin')
  return runtime.call(command, list, { ...plugin, ...config }, of(one, capabilityArgs), {
    prevResult: result,
  })
}

async function add(capabilityArgs: object): Promise<string> {
  mayBeThere = true
  const { code, stdout, stderr } = await ours('ADD', capabilityArgs)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return stderr
}

async function delLeavesNothing(): Promise<void> {
  await silently(ours('DEL', {}))
  expect(stateDifferences(there, await lookAtState())).toEqual([])
  mayBeThere = false
}

const txMax = () => vm.must(`devlink port function rate show ${bed.card.devlink}/1`)

test('both limits are in the NIC, one for mapped and direct, and a neighbour on the card has what it had', async () => {
  const udp = { from: CLIENT_A.namespace, udpMbit: 1000, ...SETTLED_UDP }
  const plain = await unlimited(meter, { ...udp, to: one, address: pods[one].v4, port: 6000 })
  // Limited streams and the neighbour's share what the machine can.
  const mbit = Math.max(1, Math.round(limitFor(plain) / 2))
  const wishes = {
    portMappings,
    bandwidth: {
      ...{ ingressRate: mbit * 1e6, ingressBurst: mbit * 160_000 },
      ...{ egressRate: mbit * 1e6, egressBurst: mbit * 250_000 },
    },
  }
  // Nothing of the limits: the node of this test does not forward.
  expect((await add(wishes)).replaceAll(/^vf-offload: the node does not forward .*\n/gm, '')).toBe('')
  expect(await recordedLimits(vm)).toEqual([
    ['toPod', 'nic', 'police'],
    ['fromPod', 'nic', 'tx_max'],
  ])
  await silently(ours('CHECK', wishes))
  const limited = { ...udp, to: one, udpMbit: mbit }
  const both = [
    { ...limited, address: pods[one].v4, port: 6000 },
    { ...limited, address: HOST.v4, sendPort: 5353, port: 53 },
  ]
  const neighbour = { ...udp, to: two, udpMbit: 3 * mbit, address: pods[two].v4, port: 6002 }
  const alone = await look(meter, both, mbit * datagramsOf(2, 0), [95, 105])
  const isFree = ([free]: readonly Rate[]) => (free?.mbit ?? 0) > 2 * mbit
  const { rates } = await look(meter, [neighbour, ...both], mbit, [280, 410], isFree)
  console.info(
    `unlimited ${plain} Mbit/s, limit ${mbit}: ${alone.looks} %; beside it ${rates.map((one) => one.mbit.toFixed(2))} Mbit/s`,
  )
  expectWithin(alone, [95, 105])
  expect(rates[0]?.mbit).toBeGreaterThan(2 * mbit)
  expect((rates[1]?.mbit ?? 0) + (rates[2]?.mbit ?? 0)).toBeLessThan(1.05 * mbit)
  await delLeavesNothing()
})

test('a rate that is no whole number of Mbit/s is limited in the pod: a policer would be the port’s own limit, and take an operator’s with it', async () => {
  await vm.must(`devlink port function rate set ${bed.card.devlink}/1 tx_max 1mbit`)
  const capped = await txMax()
  const cappedState = await lookAtState()
  const wishes = { bandwidth: { egressRate: 1_500_000, egressBurst: 400_000 } }
  expect(await add(wishes)).toMatch(
    /what the pod sends is limited by tbf \(pod\); not by tx_max: 1500000 bit\/s is no whole .*; not by police: driver "mlx5_core" carries it out by the port's own limit/,
  )
  expect(await recordedLimits(vm)).toEqual([['fromPod', 'pod', 'tbf']])
  expect(await txMax()).toBe(capped)
  await silently(ours('CHECK', wishes))
  await silently(ours('DEL', {}))
  expect(errorOf(await ours('ADD', wishes, { bandwidth: { require: 'outside' } }))).toMatchObject({
    code: 7,
    msg: expect.stringContaining('driver "mlx5_core" carries it out'),
  })
  expect(await txMax()).toBe(capped)
  expect(stateDifferences(cappedState, await lookAtState())).toEqual([])
  await vm.must(`devlink port function rate set ${bed.card.devlink}/1 tx_max 0`)
  expect(stateDifferences(there, await lookAtState())).toEqual([])
  mayBeThere = false
})

test('a VF that a program drives has both limits in the NIC, and a limit that the NIC cannot give is refused', async () => {
  const bind = (driver: string) =>
    vm.must(`cd /sys/bus/pci/devices/${pciOf(one)} || exit
      echo ${driver} >driver_override; [ ! -e driver ] || echo ${pciOf(one)} >driver/unbind
      echo ${pciOf(one)} >/sys/bus/pci/drivers_probe; echo >driver_override`)
  const mac = '02:00:00:00:00:61'
  // The first two tests have left nothing of theirs.
  await meter.end()
  for (const pod of [one, two]) await runtime.del(listFor(pod, {}), of(pod))
  expect(diffSnapshot(before, await snapshot(vm))).toEqual([])
  await bind('uio_pci_generic')
  list = listFor(one, { mac })
  result = await runtime.add(mainOf(list), of(one))
  there = await lookAtState()
  const odd = { bandwidth: { egressRate: 1_500_000, egressBurst: 400_000 } }
  expect(errorOf(await ours('ADD', odd))).toMatchObject({
    code: 7,
    msg: expect.stringMatching(/of a userspace port: "net1" has no interface.*no whole.*mlx5_core/),
  })
  expect(stateDifferences(there, await lookAtState())).toEqual([])
  const wishes = {
    bandwidth: {
      ...{ ingressRate: 5_000_000, ingressBurst: 800_000 },
      ...{ egressRate: 9_000_000, egressBurst: 900_000 },
    },
  }
  expect(await add(wishes)).toBe('')
  expect(await recordedLimits(vm)).toEqual([
    ['toPod', 'nic', 'police'],
    ['fromPod', 'nic', 'tx_max'],
  ])
  expect(await txMax()).toContain('tx_max 9Mbit')
  expect(await vm.must(`tc filter show dev ${bed.card.pf} ingress prio 13`)).toMatch(
    new RegExp(`dst_mac ${mac}[\\s\\S]*in_hw[\\s\\S]*police`),
  )
  await silently(ours('CHECK', wishes))
  await delLeavesNothing()
  await runtime.del(list, of(one))
  await bind('mlx5_core')
  await vm.must(`until [ -e /sys/bus/pci/devices/${pciOf(one)}/net ]; do sleep 0.05; done`)
})
