// Bandwidth of pods with a VF of a card in legacy mode: from the pod by the PF, or in the pod where the rate is none that the
// PF has; to the pod by an ifb in front of its interface. QEMU's igb takes VF rates and does not keep them, so what they do
// is measured on simnic (from source, not hardware).
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { CniResult, ConfigList, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { datagramsOf, limitFor, look, unlimited } from '../support/limits.ts'
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
} from '../support/plugins.ts'
import { type Meter, type Stream, startMeter } from '../support/rate.ts'
import { recordedLimits } from '../support/rate-bed.ts'
import { loadSimnic, unloadSimnic } from '../support/simnic.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../support/snapshot.ts'
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
} from '../support/topology.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const POD = 'pod-one'
const POD4 = '10.1.0.5'
const POD6 = 'fd00:1::5'
const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]

type Bandwidth = Partial<Record<'ingressRate' | 'ingressBurst' | 'egressRate' | 'egressBurst', number>>

describe.each(['igb', 'simnic'] as const)('a VF of %s in legacy mode', (nic) => {
  let lab: Lab
  let meter: Meter
  let runtime: Runtime
  let net: Topology
  let before: Snapshot
  let list: ConfigList

  beforeAll(async () => {
    lab = await sharedLab()
    runtime = testRuntime(lab)
    const [card] = nic === 'igb' ? [await loadIgb(lab)] : await loadSimnic(lab)
    if (card === undefined) throw new Error('no card')
    net = await buildTopology(lab, card, 2)
  })
  afterAll(async () => {
    if (net !== undefined) await tearDown(lab, net)
    if (nic === 'simnic') await unloadSimnic(lab)
  })
  beforeEach(async () => {
    meter = startMeter(lab)
    await newPod(lab, POD)
    before = await snapshot(lab)
  })
  afterEach(async () => {
    await meter.end()
    await runtime.del(list, pod())
    await deletePod(lab, POD)
  })

  const pod = (bandwidth?: Bandwidth) =>
    attachment(`/run/netns/${POD}`, { capabilityArgs: bandwidth === undefined ? {} : { bandwidth } })

  function use(attach: object = {}, config: object = {}): ConfigList {
    const device = net.vfs[0]?.pci ?? ''
    const ipam = { ...staticIpam(`${POD4}/24`, `${POD6}/64`), routes }
    const ours = { type: 'vf-offload', deviceID: device, capabilities: { bandwidth: true }, ...config }
    list = listOf(attachConfig(device, { ipam, ...attach }), ours)
    return list
  }

  const add = (bandwidth: Bandwidth, attach: object = {}, config: object = {}): Promise<CniResult> =>
    runtime.add(use(attach, config), pod(bandwidth))

  /** One call of ours behind vf-attach alone. */
  async function ours(command: string, bandwidth: Bandwidth | undefined, prevResult: CniResult) {
    const [, plugin] = list.plugins
    if (plugin === undefined) throw new Error('no plugin')
    return runtime.call(command, list, plugin, pod(bandwidth), { prevResult })
  }

  async function vfRate(): Promise<{ max_tx: number; min_tx: number }> {
    const [pf] = await json(lab, `ip -j -d link show dev ${net.pf}`)
    const [vf] = (pf?.vfinfo_list ?? []) as { rate: { max_tx: number; min_tx: number } }[]
    return vf?.rate ?? { max_tx: -1, min_tx: -1 }
  }

  async function delLeavesNothing(): Promise<void> {
    await runtime.del(list, pod())
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  }

  const toPod: Stream = { from: CLIENT_A.namespace, to: POD, address: POD4, port: 5000 }
  const fromPod: Stream = { from: POD, to: CLIENT_A.namespace, address: CLIENT_A.v4, port: 5001 }
  const settled = { seconds: 5, warmUp: 2 }

  test('B9: TCP gets its rate both ways, over both families; who limits it is written down; nothing is left', async () => {
    const result = await runtime.add({ ...use(), plugins: list.plugins.slice(0, 1) }, pod())
    await linkIsReady(lab, POD)
    await isReachable(lab, CLIENT_A.namespace, [POD4, POD6])
    const plain = Math.min(await unlimited(meter, toPod), await unlimited(meter, fromPod))
    // On igb a rate that is no whole number of Mbit/s within 5 %, so that the pod's own shaper does it: below 9 there are such.
    const mbit = nic === 'igb' ? Math.min(8, limitFor(plain)) + 0.45 : limitFor(plain)
    const [rate, burst] = [Math.round(mbit * 1e6), Math.round(mbit * 250_000)]
    const bandwidth = { ingressRate: rate, ingressBurst: burst, egressRate: rate, egressBurst: burst }
    const added = await ours('ADD', bandwidth, result)
    if (added.code !== 0) throw new Error(`ADD: ${added.stdout}${added.stderr}`)
    const verdicts = {
      toPod: await look(meter, [{ ...toPod, ...settled }], mbit, [90, 105]),
      toPod6: await look(meter, [{ ...toPod, ...settled, address: POD6 }], mbit, [90, 105]),
      fromPod: await look(meter, [{ ...fromPod, ...settled }], mbit, [90, 105]),
    }
    console.info(
      `${nic}: unlimited ${plain} Mbit/s, limit ${mbit}: ${Object.entries(verdicts)
        .map(([way, { looks }]) => `${way} ${looks}`)
        .join('; ')}`,
    )
    for (const { percent } of Object.values(verdicts)) {
      expect(percent).toBeGreaterThanOrEqual(90)
      expect(percent).toBeLessThanOrEqual(105)
    }
    expect(await recordedLimits(lab)).toEqual([
      ['toPod', 'pod', 'ifb'],
      nic === 'igb' ? ['fromPod', 'pod', 'tbf'] : ['fromPod', 'nic', 'max_tx_rate'],
    ])
    await silently(ours('CHECK', bandwidth, result))
    await delLeavesNothing()
  }, 400_000)

  test('one limit is one limit: IPv4 and IPv6, mapped and direct, together and offered twice of it', async () => {
    const portMappings = [{ hostPort: 5353, containerPort: 53, protocol: 'udp' }]
    const both = use({}, { capabilities: { bandwidth: true, portMappings: true } })
    const [, plugin] = both.plugins
    if (plugin === undefined) throw new Error('no plugin')
    const result = await runtime.add({ ...both, plugins: both.plugins.slice(0, 1) }, pod())
    await linkIsReady(lab, POD)
    await isReachable(lab, CLIENT_A.namespace, [POD4, POD6])
    const udp = { from: CLIENT_A.namespace, to: POD, udpMbit: 1000, seconds: 4, warmUp: 1.5 }
    const plain = await unlimited(meter, { ...udp, address: POD4, port: 6000 })
    const mbit = limitFor(plain)
    const bandwidth = { ingressRate: mbit * 1e6, ingressBurst: mbit * 250_000 }
    const called = { ...pod(), capabilityArgs: { portMappings, bandwidth } }
    const added = await runtime.call('ADD', both, plugin, called, { prevResult: result })
    if (added.code !== 0) throw new Error(`ADD: ${added.stdout}${added.stderr}`)
    const offered = { ...udp, udpMbit: (2 * mbit) / 3 }
    const streams: Stream[] = [
      { ...offered, address: POD4, port: 6000 },
      { ...offered, address: POD6, port: 6001 },
      { ...offered, address: HOST.v4, sendPort: 5353, port: 53 },
    ]
    const { percent, looks, rates } = await look(meter, streams, mbit * datagramsOf(2, 1), [90, 105])
    console.info(`${nic}: unlimited ${plain} Mbit/s, limit ${mbit}: three streams together ${looks} %`)
    expect(percent).toBeGreaterThanOrEqual(90)
    expect(percent).toBeLessThanOrEqual(105)
    // Each of them has got something.
    for (const { mbit: one } of rates) expect(one).toBeGreaterThan(0.02 * mbit)
    await delLeavesNothing()
  }, 400_000)

  test('whole Mbit/s are set on the PF, CHECK sees another rate, DEL puts back what vf-attach had set', async () => {
    const limit = { egressRate: 99_000_000, egressBurst: 8_000_000 }
    const result = await add(limit, { max_tx_rate: 200 })
    expect(await vfRate()).toMatchObject({ max_tx: 99 })
    await silently(ours('CHECK', limit, result))
    await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 98`)
    expect(errorOf(await ours('CHECK', limit, result))).toMatchObject({
      code: 104,
      msg: expect.stringContaining('the rate is another one'),
    })
    await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 99`)
    await silently(ours('DEL', undefined, result))
    expect(await vfRate()).toMatchObject({ max_tx: 200 })
    await delLeavesNothing()
  })

  test('a rate that somebody has changed since is left to them', async () => {
    const result = await add({ egressRate: 99_000_000, egressBurst: 8_000_000 })
    const shown = () => lab.must(`${pluginPath[0]}/vfctl show`)
    expect(await shown()).toContain(
      'max_tx_rate 99 min_tx_rate 0\n      set to 99000000 bit/s; no counters\n',
    )
    await lab.must(`ip link set ${net.pf} vf 0 max_tx_rate 77`)
    expect(await shown()).toContain('      set to 77000000 bit/s now, not 99000000 bit/s; no counters\n')
    await silently(ours('DEL', undefined, result))
    expect(await vfRate()).toMatchObject({ max_tx: 77 })
    await delLeavesNothing()
  })

  test('a rate that the driver refuses is kept in the pod, and the reason is said', async () => {
    const result = await runtime.add({ ...use(), plugins: list.plugins.slice(0, 1) }, pod())
    const { stderr, code } = await ours('ADD', { egressRate: 400e9, egressBurst: 4_294_967_295 }, result)
    expect(code).toBe(0)
    expect(stderr).toMatch(/what the pod sends is limited by tbf \(pod\); not by max_tx_rate: .*EINVAL/)
    const [shaper] = await json(lab, `ip netns exec ${POD} tc -j qdisc show dev net1 root`)
    expect(shaper).toMatchObject({ kind: 'tbf', handle: '7666:', options: { rate: 50e9 } })
    await delLeavesNothing()
  })

  test('bandwidth.require "outside": what the PF can do is done, the rest refused with code 7, and nothing is left of it', async () => {
    const outside = { bandwidth: { require: 'outside' } }
    const result = await runtime.add({ ...use({}, outside), plugins: list.plugins.slice(0, 1) }, pod())
    const attached = await snapshot(lab)
    for (const bandwidth of [
      { ingressRate: 5_000_000, ingressBurst: 400_000 },
      { egressRate: 1_500_000, egressBurst: 400_000 },
      { egressRate: 5_000_000, egressBurst: 400_000, ingressRate: 5_000_000, ingressBurst: 400_000 },
    ]) {
      const { code, msg } = errorOf(await ours('ADD', bandwidth, result))
      expect([code, msg]).toEqual([7, expect.stringContaining('only inside the pod, and bandwidth.require')])
    }
    expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
    expect((await ours('ADD', { egressRate: 5_000_000, egressBurst: 400_000 }, result)).code).toBe(0)
    expect(await vfRate()).toMatchObject({ max_tx: 5 })
    await delLeavesNothing()
  })

  test('B14: CHECK names what is missing in the pod', async () => {
    const limit = {
      ingressRate: 5_000_000,
      ingressBurst: 400_000,
      egressRate: 1_500_000,
      egressBurst: 400_000,
    }
    const result = await add(limit)
    const inPod = `ip netns exec ${POD}`
    const [ifb = ''] = (await lab.must(`${inPod} ip -br link show type ifb`)).split(' ')
    for (const [change, named] of [
      [`${inPod} tc qdisc del dev net1 root`, '"net1" has no shaper of ours'],
      [`${inPod} tc filter del dev net1 ingress`, '"net1" has no filter of ours'],
      [`${inPod} tc qdisc del dev ${ifb} root`, `"${ifb}" has no shaper of ours`],
      [`${inPod} ip link del ${ifb}`, `there is no "${ifb}"`],
    ] as const) {
      await silently(ours('CHECK', limit, result))
      await lab.must(change)
      const { code, msg, details = '' } = errorOf(await ours('CHECK', limit, result))
      expect([code, `${msg}; ${details}`]).toEqual([104, expect.stringContaining(named)])
      await silently(ours('DEL', undefined, result))
      expect(await lab.must(`${inPod} tc qdisc show | grep -c 'tbf\\|clsact' || true`)).toBe('0\n')
      expect((await ours('ADD', limit, result)).code).toBe(0)
    }
    await delLeavesNothing()
  }, 400_000)

  test('with the pod gone DEL leaves nothing, and puts the rate back', async () => {
    const limit = {
      ingressRate: 5_000_000,
      ingressBurst: 400_000,
      egressRate: 5_000_000,
      egressBurst: 400_000,
    }
    const result = await runtime.add({ ...use(), plugins: list.plugins.slice(0, 1) }, pod())
    expect((await ours('ADD', limit, result)).code).toBe(0)
    expect(await vfRate()).toMatchObject({ max_tx: 5 })
    await deletePod(lab, POD)
    await runtime.del(list, { ...pod(), netns: '' })
    expect(await vfRate()).toMatchObject({ max_tx: 0 })
    expect(await lab.must('find /var/lib/cni/vf-flower/offload -type f')).toBe('')
  }, 400_000)
})
