// Bandwidth of pods behind the distribution's Go bridge plugin: shapers on the host's end of the veth, both ways. What gets
// through is compared with what did before on the same path; nothing may stay behind.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { type CniResult, cniRuntime, type PluginConfig, type Runtime } from '../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'
import {
  attachToBridge,
  BRIDGE,
  bridgeList,
  PODS,
  podOf,
  warmBridge,
  webAndDns,
} from '../support/bridge-bed.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { limitFor, look, type ShownLimit, unlimited } from '../support/limits.ts'
import { errorOf, json, pluginPath, silently, testRuntime } from '../support/plugins.ts'
import { type Meter, type Rate, type Stream, startMeter } from '../support/rate.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../support/snapshot.ts'
import { deletePod, newPod } from '../support/topology.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

type Bandwidth = Partial<Record<'ingressRate' | 'ingressBurst' | 'egressRate' | 'egressBurst', number>>
const pods = ['pod-one', 'pod-two'] as const
const [one, two] = pods
const small: Bandwidth = { ingressRate: 8000, ingressBurst: 80, egressRate: 8000, egressBurst: 80 }

let lab: Lab
let meter: Meter
let runtime: Runtime
/** What the bridge plugin gave pod-one, and the host then. */
let attached: CniResult
let before: Snapshot
/** The host's end of pod-one's veth. */
let peer: string

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
})
afterAll(() => lab.must('ip link del cni0'))
beforeEach(async () => {
  meter = startMeter(lab)
  for (const pod of pods) await newPod(lab, pod)
  attached = await attachToBridge(lab, runtime, one)
  peer = attached.interfaces?.find(({ name }) => name.startsWith('veth'))?.name ?? ''
  // The bridge plugin makes pairs without a queue length, and the kernel gives them one with their first qdisc.
  await lab.must(`ip link set ${peer} txqueuelen 1000`)
  before = await snapshot(lab)
})
afterEach(async () => {
  await meter.end()
  for (const pod of pods) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
})

const plugin = (
  config: object = {},
  capabilities: Record<string, boolean> = { bandwidth: true },
): PluginConfig => ({
  type: 'vf-offload',
  capabilities,
  ...config,
})

/** A call of ours for pod-one. */
function call(
  command: string,
  bandwidth: Bandwidth | undefined,
  prevResult = attached,
  config: object = {},
): Promise<ExecResult> {
  const attachment = { ...podOf(one), capabilityArgs: bandwidth === undefined ? {} : { bandwidth } }
  return runtime.call(command, bridgeList(one), plugin(config), attachment, { prevResult })
}

async function add(bandwidth: Bandwidth, config: object = {}): Promise<CniResult> {
  const { code, stdout, stderr } = await call('ADD', bandwidth, attached, config)
  if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
  return JSON.parse(stdout) as CniResult
}

/** DEL as a runtime calls it that has forgotten everything. */
async function leavesNothing(): Promise<void> {
  await silently(runtime.call('DEL', bridgeList(one), plugin(), podOf(one)))
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
}

interface Shaper {
  readonly dev: string
  readonly kind: string
  readonly handle: string
  readonly options: { readonly rate: number; readonly burst: number; readonly lim?: number }
}

async function shapers(): Promise<Shaper[]> {
  const all = (await json(lab, 'tc -j qdisc show')) as unknown as Shaper[]
  return all.filter(({ kind }) => kind === 'tbf')
}

test('B1, B2, B17: 8 kbit/s both ways is a shaper on the pair and one on an ifb of its MTU, which the result gains', async () => {
  await lab.must(`ip link set ${peer} mtu 1400; ip -n ${one} link set eth0 mtu 1400`)
  before = await snapshot(lab)
  const result = await add(small)
  const [ifb, ...more] = (result.interfaces ?? []).slice(attached.interfaces?.length)
  expect(more).toEqual([])
  expect(ifb).toMatchObject({ name: expect.stringMatching(/^vfr[0-9a-f]{12}$/), sandbox: '' })
  const [link] = await json(lab, `ip -d -j link show dev ${ifb?.name}`)
  expect(link).toMatchObject({ mtu: 1400, linkinfo: { info_kind: 'ifb' }, address: ifb?.mac })
  const shown = await lab.must(`${pluginPath[0]}/vfctl show`)
  expect(shown).toContain('what comes to the pod is limited to 8000 bit/s: on the host (tbf)')
  expect(shown).toContain('what the pod sends is limited to 8000 bit/s: on the host (ifb)')
  // A burst of ten bytes would let no frame through.
  expect(
    (await shapers()).map(({ dev, handle, options }) => [dev, handle, options.rate, options.burst]),
  ).toEqual(
    expect.arrayContaining([
      [peer, '7666:', 1000, 1418],
      [ifb?.name, '7666:', 1000, 1418],
    ]),
  )
  await leavesNothing()

  const { ingressRate, ingressBurst, egressRate, egressBurst } = small
  expect(await add({ ingressRate, ingressBurst } as Bandwidth)).toEqual(attached)
  expect((await shapers()).map(({ dev }) => dev)).toEqual([peer])
  await leavesNothing()
  const third = await add({ egressRate, egressBurst } as Bandwidth)
  expect((await shapers()).map(({ dev }) => dev)).toEqual([third.interfaces?.at(-1)?.name])
  await leavesNothing()
})

test('B3, B15: nothing asked for is nothing done, and CHECK has nothing to say, by either name', async () => {
  for (const bandwidth of [
    undefined,
    {},
    { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 },
  ]) {
    expect(JSON.parse((await call('ADD', bandwidth)).stdout)).toEqual(attached)
    await silently(call('CHECK', bandwidth))
  }
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  await silently(call('DEL', undefined))
  // Without an ADD, and with somebody else's shaper there, as on a node that was set up by other means.
  await lab.must(`tc qdisc add dev ${peer} root handle 5: tbf rate 1gbit burst 1mb latency 50ms`)
  await lab.must(`mkdir -p /run/rate-names && ln -sf ${pluginPath[0]}/vf-flower /run/rate-names/bandwidth`)
  const named = cniRuntime(lab, ['/run/rate-names', ...pluginPath])
  for (const type of [plugin(), plugin({ type: 'bandwidth' })]) {
    await silently(named.call('CHECK', bridgeList(one), type, podOf(one), { prevResult: attached }))
  }
  await lab.must(`rm -r /run/rate-names; tc qdisc del dev ${peer} root`)
})

test('B4: half a limit is refused with its key, before anything is changed', async () => {
  expect(errorOf(await call('ADD', { ingressRate: 8000 }))).toMatchObject({
    code: 7,
    msg: expect.stringContaining('runtimeConfig.bandwidth.ingressRate 8000 without'),
  })
  expect(errorOf(await call('ADD', { ...small, egressBurst: 4 * 2 ** 30 * 8 })).code).toBe(7)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  await add({ ...small, egressBurst: 4 * 2 ** 30 * 8 - 16 })
  await leavesNothing()
})

test('B5: keys of the config itself win entirely over what the runtime hands over', async () => {
  const own = { ingressRate: 16_000, ingressBurst: 80_000 }
  // Nothing is mixed: the runtime's limit of what the pod sends does not count.
  const result = await add(small, own)
  expect(result).toEqual(attached)
  expect((await shapers()).map(({ dev, options }) => [dev, options.rate])).toEqual([[peer, 2000]])
  await silently(call('CHECK', small, result, own))
  await leavesNothing()
  // Half a limit is not completed by the runtime's other half, and a limit of nothing is none.
  expect(errorOf(await call('ADD', small, attached, { ingressRate: 16_000 }))).toMatchObject({
    code: 7,
    msg: expect.stringMatching(/^Cannot use ingressRate 16000 without ingressBurst/),
  })
  expect(await add(small, { ingressRate: 0, ingressBurst: 0 })).toEqual(attached)
  expect(await shapers()).toEqual([])
  await leavesNothing()
})

test('B6: keys are taken in any case, as the Go plugin takes them', async () => {
  const { ingressRate: IngressRate, ingressBurst: INGRESSBURST } = small
  const spelt = { runtimeConfig: { bandWidth: { IngressRate, INGRESSBURST } } }
  const { stdout } = await call('ADD', undefined, attached, spelt)
  expect(JSON.parse(stdout)).toEqual(attached)
  expect((await shapers()).map(({ dev, options }) => [dev, options.rate])).toEqual([[peer, 1000]])
  await silently(call('CHECK', undefined, attached, spelt))
  await leavesNothing()
})

test('B11: what runtimes send for a burst wraps no counter, both ways, from 8 kbit/s to 400 Gbit/s', async () => {
  const [kubelet, containerd, crio] = [2_147_483_647, 4_294_967_295, 34_359_738_359] as const
  for (const [rate, ingressBurst, egressBurst] of [
    [8e3, containerd, crio],
    [1e6, crio, kubelet],
    [1e7, containerd, crio],
    [1e9, kubelet, containerd],
    [400e9, crio, containerd],
  ] as const) {
    const wishes = { ingressRate: rate, ingressBurst, egressRate: rate, egressBurst }
    const { code, stdout, stderr } = await call('ADD', wishes)
    expect([code, stdout]).toEqual([0, expect.any(String)])
    expect(stderr).toContain(`ingressBurst ${ingressBurst}: what runtimes send for none`)
    expect(stderr).toContain(`egressBurst ${egressBurst}: what runtimes send for none`)
    const wanted = Math.min(Math.max((rate / 8) * 0.1, 1518), 0xffffffff)
    const tick = (rate / 8) * 64e-9 + 1
    const found = await shapers()
    expect(found).toHaveLength(2)
    for (const { options } of found) {
      expect(options.rate).toBe(rate / 8)
      expect(Math.abs(options.burst - wanted)).toBeLessThan(tick)
    }
    await silently(call('CHECK', wishes))
    await silently(runtime.call('DEL', bridgeList(one), plugin(), podOf(one)))
  }
  await leavesNothing()
})

const toPod: Stream = { from: null, to: one, address: PODS[one].v4, port: 5000 }
const fromPod: Stream = { from: one, to: null, address: BRIDGE.v4, port: 5001 }
/** Mbit/s as a rate and a quarter of a second of it as a burst, in bits. */
const bits = (mbit: number) => [Math.round(mbit * 1e6), Math.round(mbit * 250_000)] as const

interface Counted {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
}

async function shaperOn(dev: string): Promise<Counted> {
  const [tbf] = await json(lab, `tc -s -j qdisc show dev ${dev} root`)
  return tbf as unknown as Counted
}

/** What vfctl shows of both limits is what tc shows, before and after, and more than was received through each. */
async function counted(toPod: number, fromPod: number, ifb: string): Promise<void> {
  const ways = [
    ['toPod', peer, toPod],
    ['fromPod', ifb, fromPod],
  ] as const
  const earlier = await Promise.all(ways.map(([, dev]) => shaperOn(dev)))
  const [shown] = JSON.parse(await lab.must(`${pluginPath[0]}/vfctl show --json`)) as [
    { limits: ShownLimit[] },
  ]
  for (const [at, [direction, dev, received]] of ways.entries()) {
    const later = await shaperOn(dev)
    const parts = shown.limits.find((one) => one.direction === direction)?.parts ?? []
    const counters = parts.find(({ line }) => line.includes(' tbf '))?.counters
    expect(counters?.hardware).toEqual({ packets: 0, bytes: 0 })
    for (const [value, field] of [
      [counters?.software.bytes, 'bytes'],
      [counters?.software.packets, 'packets'],
      [counters?.dropped, 'drops'],
    ] as const) {
      expect(value).toBeGreaterThanOrEqual(earlier[at]?.[field] ?? Number.NaN)
      expect(value).toBeLessThanOrEqual(later[field])
    }
    // The shaper, and from the pod the filter that leads to its ifb and the ifb itself.
    expect(parts).toHaveLength(direction === 'toPod' ? 1 : 3)
    for (const one of parts) expect(one.counters?.software.bytes).toBeGreaterThan(received)
  }
}

test('B10, B11: TCP gets its rate in both directions with the bursts of runtimes, beside a neighbour who is not limited', async () => {
  const plain = Math.min(await unlimited(meter, toPod), await unlimited(meter, fromPod))
  const mbit = limitFor(plain)
  const rate = mbit * 1e6
  await attachToBridge(lab, runtime, two)
  // containerd's and CRI-O's: taken literally, no limit would begin before half a gigabyte has passed.
  const result = await add({
    ...{ ingressRate: rate, ingressBurst: 4_294_967_295 },
    ...{ egressRate: rate, egressBurst: 34_359_738_359 },
  })
  const settled = { seconds: 5, warmUp: 2 }
  const verdicts = {
    toPod: await look(meter, [{ ...toPod, ...settled }], mbit, [90, 105]),
    fromPod: await look(meter, [{ ...fromPod, ...settled }], mbit, [90, 105]),
  }
  console.info(
    `unlimited ${plain} Mbit/s, limit ${mbit}: ${Object.entries(verdicts)
      .map(([way, { looks }]) => `${way} ${looks}`)
      .join('; ')}`,
  )
  for (const { percent } of Object.values(verdicts)) {
    expect(percent).toBeGreaterThanOrEqual(90)
    expect(percent).toBeLessThanOrEqual(105)
  }
  await counted(verdicts.toPod.received, verdicts.fromPod.received, result.interfaces?.at(-1)?.name ?? '')
  // At the same time the neighbour has twice the limit and more, which is far from any limit.
  const neighbour = { ...toPod, to: two, address: PODS[two].v4 }
  const isFree = ([free]: readonly Rate[]) => (free?.mbit ?? 0) > 2 * mbit
  const { rates } = await look(meter, [neighbour, toPod], mbit, [250, 1e6], isFree)
  expect(rates[0]?.mbit).toBeGreaterThan(2 * mbit)
}, 400_000)

test('one limit is one limit: IPv4 and IPv6, mapped and direct, together and offered twice of it', async () => {
  const plain = await unlimited(meter, { ...toPod, udpMbit: 1000 })
  const mbit = limitFor(plain)
  const [rate, burst] = bits(mbit)
  const both = plugin({}, { bandwidth: true, portMappings: true })
  const capabilityArgs = { portMappings: webAndDns, bandwidth: { ingressRate: rate, ingressBurst: burst } }
  const attachment = { ...podOf(one), capabilityArgs }
  const added = await runtime.call('ADD', bridgeList(one), both, attachment, { prevResult: attached })
  if (added.code !== 0) throw new Error(`ADD: ${added.stdout}${added.stderr}`)
  const udp = { from: null, to: one, udpMbit: (2 * mbit) / 3, seconds: 4, warmUp: 1.5 }
  const streams: Stream[] = [
    { ...udp, address: PODS[one].v4, port: 6000 },
    { ...udp, address: PODS[one].v6, port: 6001 },
    // The node's own address, mapped to the pod's port 53.
    { ...udp, address: BRIDGE.v4, sendPort: 5353, port: 53 },
  ]
  const { percent, looks } = await look(meter, streams, mbit, [90, 105])
  console.info(`unlimited ${plain} Mbit/s, limit ${mbit}: three streams together ${looks.join(', ')} %`)
  expect(percent).toBeGreaterThanOrEqual(90)
  expect(percent).toBeLessThanOrEqual(105)
  // Without the limit the three are offered twice of it.
  await silently(runtime.call('DEL', bridgeList(one), both, attachment))
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
}, 400_000)

test('B7, B8: the pair of the interface itself, whatever else prevResult lists, and if it lists nothing', async () => {
  await lab.must(`ip link add other0 type veth peer name other1; ip link set other1 netns ${one}`)
  before = await snapshot(lab)
  const other = { name: 'other0', sandbox: '' }
  for (const interfaces of [[other, ...(attached.interfaces ?? [])], []]) {
    const prevResult = { ...attached, interfaces, ips: [] }
    const { code, stdout, stderr } = await call('ADD', { ingressRate: 8000, ingressBurst: 80 }, prevResult)
    if (code !== 0) throw new Error(`ADD: ${stdout}${stderr}`)
    expect((await shapers()).map(({ dev }) => dev)).toEqual([peer])
    await leavesNothing()
  }
  await lab.must('ip link del other0')
})

test('B12: clsact and filters of others survive ADD and DEL, and see every frame before ours, which is said', async () => {
  await lab.must(`tc qdisc add dev ${peer} clsact
    tc filter add dev ${peer} ingress protocol ip prio 5 flower ip_proto icmp action pass`)
  before = await snapshot(lab)
  const { code, stderr } = await call('ADD', small)
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(
      /is not limited as far as others take it first on "veth.*": tc filter .*prio 5 .*flower/,
    ),
  ])
  expect(await lab.must(`tc filter show dev ${peer} ingress`)).toMatch(
    /pref 5 flower[\s\S]*pref 60000 matchall/,
  )
  await leavesNothing()
})

test('B13: a second ADD is refused, and takes nothing away from the first', async () => {
  await add(small)
  const there = await snapshot(lab)
  expect(errorOf(await call('ADD', small))).toMatchObject({ code: 11 })
  expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
  await leavesNothing()
})

test('B14: CHECK names whatever is not as the ADD left it', async () => {
  const result = await add(small)
  const ifb = result.interfaces?.at(-1)?.name ?? ''
  await silently(call('CHECK', small, result))
  for (const [change, named] of [
    [`tc qdisc del dev ${peer} root`, `"${peer}" has no shaper of ours`],
    [
      `tc qdisc replace dev ${peer} root handle 1: tbf rate 8kbit burst 1518b limit 13662b`,
      `"${peer}" has no shaper of ours`,
    ],
    [
      `tc qdisc replace dev ${peer} root handle 7666: tbf rate 9kbit burst 1518b limit 13662b`,
      'rate 1125 instead of 1000',
    ],
    [
      `tc qdisc replace dev ${peer} root handle 7666: tbf rate 8kbit burst 1518b limit 20000b`,
      'limit 20000 instead of 13662',
    ],
    [`tc qdisc del dev ${ifb} root`, `"${ifb}" has no shaper of ours`],
    [`ip link set ${ifb} mtu 1300`, 'MTU 1300 instead of 1500'],
    [`ip link set ${ifb} down`, `"${ifb}" is down`],
    [`tc filter del dev ${peer} ingress`, `"${peer}" has no filter of ours`],
    [
      `cookie=$(tc filter show dev ${peer} ingress | sed -n 's/.*cookie \\([0-9a-f]*\\).*/\\1/p')
      tc filter del dev ${peer} ingress
      tc filter add dev ${peer} ingress prio 60000 matchall skip_hw action mirred egress mirror dev ${ifb} cookie $cookie`,
      `the filter on "${peer}" is another one`,
    ],
    [`ip link del ${ifb}`, `there is no "${ifb}"`],
  ] as const) {
    await lab.must(change)
    const { code, msg, details = '' } = errorOf(await call('CHECK', small, result))
    expect([code, `${msg}; ${details}`]).toEqual([104, expect.stringContaining(named)])
    await silently(runtime.call('DEL', bridgeList(one), plugin(), podOf(one)))
    // What another hand has put in its place stays, and is no limit of ours.
    if (change.includes('handle 1:')) await lab.must(`tc qdisc del dev ${peer} root handle 1:`)
    await add(small)
  }
  const more = { ...small, ingressRate: 16_000 }
  expect(errorOf(await call('CHECK', more, result))).toMatchObject({
    code: 104,
    msg: expect.stringContaining('limited to 8000 bit/s with a burst of 80, and 16000 bit/s'),
  })
  await leavesNothing()
  expect(errorOf(await call('CHECK', small, result))).toMatchObject({ code: 104 })
}, 400_000)

test('a root qdisc of others on the pair: a limit that would replace it is refused and names it, one behind it is made', async () => {
  await lab.must(`tc qdisc add dev ${peer} root handle 1: tbf rate 1gbit burst 1mb latency 50ms`)
  before = await snapshot(lab)
  const { code, msg } = errorOf(await call('ADD', small))
  expect([code, msg]).toEqual([102, expect.stringContaining('there is a root qdisc already, tbf 1:')])
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
  const { egressRate, egressBurst } = small
  const result = await add({ egressRate, egressBurst } as Bandwidth)
  await silently(call('CHECK', { egressRate, egressBurst } as Bandwidth, result))
  await leavesNothing()
  await lab.must(`tc qdisc del dev ${peer} root`)
})

test('B16: with the interface gone, and its namespace alive, DEL leaves nothing', async () => {
  await add(small)
  const note = `/run/vf-flower/clsact-${(await lab.must(`cat /sys/class/net/${peer}/ifindex`)).trim()}`
  await lab.must(`test -e ${note} && ip -n ${one} link del eth0`)
  await silently(runtime.call('DEL', bridgeList(one), plugin(), podOf(one)))
  expect(await lab.must('ip -br link show type ifb')).toBe('')
  expect(await lab.must(`find /var/lib/cni/vf-flower/offload ${note} -type f 2>/dev/null || true`)).toBe('')
})

test('B16: with the namespace gone, and without record, DEL finds the ifb by its name', async () => {
  await add(small)
  await lab.must("rm -r '/var/lib/cni/vf-flower/offload'")
  await deletePod(lab, one)
  await silently(runtime.call('DEL', bridgeList(one), plugin(), { ...podOf(one), netns: '' }))
  expect(await lab.must('ip -br link show type ifb')).toBe('')
  expect(await lab.must('tc qdisc show | grep -c tbf || true')).toBe('0\n')
})

test('bandwidth and portmap beside each other in one list, each by its own name', async () => {
  const list = bridgeList(one)
  const attachment = {
    ...podOf(one),
    capabilityArgs: { portMappings: webAndDns, bandwidth: small },
  }
  const portmap: PluginConfig = { type: 'vf-offload', capabilities: { portMappings: true } }
  const bandwidth: PluginConfig = { type: 'bandwidth', capabilities: { bandwidth: true } }
  // Installed under that name, as an operator does it who has no other plugin of the name.
  await lab.must(`mkdir -p /run/rate-names && ln -sf ${pluginPath[0]}/vf-flower /run/rate-names/bandwidth`)
  const named = cniRuntime(lab, ['/run/rate-names', ...pluginPath])
  await silently(named.call('STATUS', { ...list, cniVersion: '1.1.0' }, bandwidth, attachment))
  const first = await named.call('ADD', list, portmap, attachment, { prevResult: attached })
  const second = await named.call('ADD', list, bandwidth, attachment, {
    prevResult: JSON.parse(first.stdout),
  })
  expect([first.code, second.code, second.stderr]).toEqual([0, 0, expect.stringContaining('ingressBurst 80')])
  expect(await shapers()).toHaveLength(2)
  // One goes, the other stays, with the filter that leads to its ifb.
  const detour = `tc filter show dev ${peer} ingress | grep -c 'mirred (Egress Redirect to device vfr'`
  await silently(named.call('DEL', list, portmap, attachment))
  expect([await shapers(), await lab.must(detour)]).toEqual([expect.objectContaining({ length: 2 }), '1\n'])
  const again = await named.call('ADD', list, portmap, attachment, { prevResult: attached })
  expect(again.code).toBe(0)
  expect(await shapers()).toHaveLength(2)
  await silently(named.call('DEL', list, bandwidth, attachment))
  expect(await shapers()).toEqual([])
  await silently(named.call('DEL', list, portmap, attachment))
  await lab.must('rm -r /run/rate-names')
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
