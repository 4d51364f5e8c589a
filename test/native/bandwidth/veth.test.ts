// Limits of frames to a pod behind the distribution's Go bridge plugin: a shaper on the host's end of its veth. The rate
// that gets through is compared with the limit, and nothing stays behind. test/native/bandwidth/detour.test.ts has the
// other direction, which needs a filter.
// needs: veth, bridge, tbf, nft
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { BRIDGE, bridgeList, PODS, warmBridge, webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, pluginPath, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { type Meter, type Rate, type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { cniRuntime, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import {
  expectWithin,
  limitFor,
  look,
  SETTLED_TCP,
  SETTLED_UDP,
  type ShownLimit,
  unlimited,
} from '../../support/limits.ts'
import {
  BURSTS,
  limiting,
  OWN_HANDLE,
  RatePod,
  SMALL,
  SMALL_TO_POD,
  shapersOf,
  standardBurst,
} from '../../support/rate-veth.ts'

const [one, two] = ['pod-one', 'pod-two'] as const

let lab: Lab
let meter: Meter
let runtime: Runtime
let bed: RatePod

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  meter = startMeter(lab)
  bed = await RatePod.attach(lab, runtime, one)
  await bed.remember()
})
afterAll(async () => {
  await meter?.end()
  await bed?.end()
  await lab.must('ip link del cni0')
})
afterEach(() => bed.del())

const shaped = async () => (await shapersOf(lab)).map(({ dev, options }) => [dev, options.rate])

const toPod: Stream = { from: null, to: one, address: PODS[one].v4, port: 5000 }

interface Counted {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
}

async function shaperOn(dev: string): Promise<Counted> {
  const [tbf] = JSON.parse(await lab.must(`tc -s -j qdisc show dev ${dev} root`)) as [Counted]
  return tbf
}

/** The counters of the limit in vfctl are those of tc, before and after, and more than was received through it. */
async function counted(received: number): Promise<void> {
  const earlier = await shaperOn(bed.peer)
  const [shown] = JSON.parse(await lab.must(`${pluginPath[0]}/vfctl show --json`)) as [
    { limits: ShownLimit[] },
  ]
  const later = await shaperOn(bed.peer)
  // The shaper alone.
  const [part, ...more] = shown.limits.find(({ direction }) => direction === 'toPod')?.parts ?? []
  expect(more).toEqual([])
  expect(part?.line).toContain(' tbf ')
  expect(part?.counters?.hardware).toEqual({ packets: 0, bytes: 0 })
  for (const [value, field] of [
    [part?.counters?.software.bytes, 'bytes'],
    [part?.counters?.software.packets, 'packets'],
    [part?.counters?.dropped, 'drops'],
  ] as const) {
    expect(value).toBeGreaterThanOrEqual(earlier[field])
    expect(value).toBeLessThanOrEqual(later[field])
  }
  expect(part?.counters?.software.bytes).toBeGreaterThan(received)
}

describe('a config', () => {
  test('B3, B15: nothing asked for is nothing done, and CHECK has nothing to say, by either name', async () => {
    for (const bandwidth of [
      undefined,
      {},
      { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 },
    ]) {
      expect(JSON.parse((await bed.call('ADD', bandwidth)).stdout)).toEqual(bed.attached)
      await silently(bed.call('CHECK', bandwidth))
    }
    await bed.isAsBefore()
    await silently(bed.call('DEL', undefined))
    // Without an ADD, and with somebody else's shaper there, as on a node that was set up by other means.
    await lab.must(`tc qdisc add dev ${bed.peer} root handle 5: tbf rate 1gbit burst 1mb latency 50ms`)
    await lab.must(`mkdir -p /run/rate-names && ln -sf ${pluginPath[0]}/vf-offload /run/rate-names/bandwidth`)
    const named = cniRuntime(lab, ['/run/rate-names', ...pluginPath])
    for (const type of [limiting(), limiting({ type: 'bandwidth' })]) {
      await silently(
        named.call('CHECK', bridgeList(one), type, bed.attachment(), { prevResult: bed.attached }),
      )
    }
    await lab.must(`rm -r /run/rate-names; tc qdisc del dev ${bed.peer} root`)
  })

  test('B4: half a limit is refused with its key, before anything is changed', async () => {
    expect(errorOf(await bed.call('ADD', { ingressRate: 8000 }))).toMatchObject({
      code: 7,
      msg: expect.stringContaining('runtimeConfig.bandwidth.ingressRate 8000 without'),
    })
    expect(errorOf(await bed.call('ADD', { ...SMALL, egressBurst: 4 * 2 ** 30 * 8 })).code).toBe(7)
    await bed.isAsBefore()
    await bed.add({ ...SMALL_TO_POD, ingressBurst: 4 * 2 ** 30 * 8 - 16 })
    await bed.leavesNothing()
  })

  test('B5: keys of the config itself win entirely over what the runtime hands over', async () => {
    const own = { ingressRate: 16_000, ingressBurst: 80_000 }
    // Nothing is mixed: the runtime's limit of what the pod sends does not count.
    const result = await bed.add(SMALL, own)
    expect(result).toEqual(bed.attached)
    expect(await shaped()).toEqual([[bed.peer, 2000]])
    await silently(bed.call('CHECK', SMALL, result, own))
    await bed.leavesNothing()
    // Half a limit is not completed by the runtime's other half, and a limit of nothing is none.
    expect(errorOf(await bed.call('ADD', SMALL, bed.attached, { ingressRate: 16_000 }))).toMatchObject({
      code: 7,
      msg: expect.stringMatching(/^Cannot use ingressRate 16000 without ingressBurst/),
    })
    expect(await bed.add(SMALL, { ingressRate: 0, ingressBurst: 0 })).toEqual(bed.attached)
    expect(await shaped()).toEqual([])
    await bed.leavesNothing()
  })

  test('B6: keys are taken in any case, as the Go plugin takes them', async () => {
    const { ingressRate: IngressRate, ingressBurst: INGRESSBURST } = SMALL
    const spelt = { runtimeConfig: { bandWidth: { IngressRate, INGRESSBURST } } }
    const { stdout } = await bed.call('ADD', undefined, bed.attached, spelt)
    expect(JSON.parse(stdout)).toEqual(bed.attached)
    expect(await shaped()).toEqual([[bed.peer, 1000]])
    await silently(bed.call('CHECK', undefined, bed.attached, spelt))
    await bed.leavesNothing()
  })
})

describe('a limit to the pod', () => {
  test('B2: a limit to the pod alone is a shaper on the pair, and the result stays as it is', async () => {
    expect(await bed.add(SMALL_TO_POD)).toEqual(bed.attached)
    // A burst of ten bytes would let no frame through.
    expect(
      (await shapersOf(lab)).map(({ dev, handle, options }) => [dev, handle, options.rate, options.burst]),
    ).toEqual([[bed.peer, expect.stringMatching(OWN_HANDLE), 1000, 1518]])
    await bed.leavesNothing()
  })

  test('B11: the bursts of runtimes wrap no counter, from 8 kbit/s to 400 Gbit/s', async () => {
    for (const [rate, ingressBurst] of [
      [8e3, BURSTS.containerd],
      [1e6, BURSTS.crio],
      [1e7, BURSTS.containerd],
      [1e9, BURSTS.kubelet],
      [400e9, BURSTS.crio],
    ] as const) {
      const wishes = { ingressRate: rate, ingressBurst }
      const { code, stdout, stderr } = await bed.call('ADD', wishes)
      expect([code, stdout]).toEqual([0, expect.any(String)])
      expect(stderr).toContain(`ingressBurst ${ingressBurst}: what runtimes send for none`)
      const { bytes, tick } = standardBurst(rate)
      const [found, ...more] = await shapersOf(lab)
      expect(more).toEqual([])
      expect(found?.options.rate).toBe(rate / 8)
      expect(Math.abs((found?.options.burst ?? 0) - bytes)).toBeLessThan(tick)
      await silently(bed.call('CHECK', wishes))
      await bed.del()
    }
    await bed.leavesNothing()
  })

  test('B10, B11: TCP to the pod gets its rate with the burst of a runtime, beside a neighbour who is not limited', async () => {
    const mbit = limitFor(await unlimited(meter, toPod))
    const neighbour = await RatePod.attach(lab, runtime, two)
    try {
      // containerd's: taken literally, no limit would begin before half a gigabyte has passed.
      await bed.add({ ingressRate: mbit * 1e6, ingressBurst: BURSTS.containerd })
      const verdict = await look(meter, [{ ...toPod, ...SETTLED_TCP }], mbit, [90, 105])
      expectWithin(verdict, [90, 105])
      await counted(verdict.received)
      // At the same time the neighbour has twice the limit and more, which is far from any limit.
      const free = { ...toPod, to: two, address: PODS[two].v4 }
      const isFree = ([rate]: readonly Rate[]) => (rate?.mbit ?? 0) > 2 * mbit
      const { rates } = await look(meter, [free, toPod], mbit, [250, 1e6], isFree)
      expect(rates[0]?.mbit).toBeGreaterThan(2 * mbit)
    } finally {
      // Its process in the neighbour's namespace has to be gone first.
      await meter.end()
      await neighbour.end()
    }
  })

  test('IPv4 and IPv6, mapped and direct, share one limit when twice of it is offered', async () => {
    const mbit = limitFor(await unlimited(meter, { ...toPod, udpMbit: 1000 }))
    const both = limiting({}, { bandwidth: true, portMappings: true })
    const bandwidth = { ingressRate: mbit * 1e6, ingressBurst: mbit * 250_000 }
    const attachment = bed.attachment({ portMappings: webAndDns, bandwidth })
    const prevResult = bed.attached
    const added = await runtime.call('ADD', bridgeList(one), both, attachment, { prevResult })
    expect(added.code, `${added.stdout}${added.stderr}`).toBe(0)
    const udp = { from: null, to: one, udpMbit: (2 * mbit) / 3, ...SETTLED_UDP }
    const streams: Stream[] = [
      { ...udp, address: PODS[one].v4, port: 6000 },
      { ...udp, address: PODS[one].v6, port: 6001 },
      // The node's own address, mapped to the pod's port 53.
      { ...udp, address: BRIDGE.v4, sendPort: 5353, port: 53 },
    ]
    // Without the limit the three are offered twice of it.
    expectWithin(await look(meter, streams, mbit, [90, 105]), [90, 105])
    await silently(runtime.call('DEL', bridgeList(one), both, attachment))
    await bed.isAsBefore()
  })

  test('B7, B8: the limit is on the pair of the interface itself, whatever prevResult lists', async () => {
    await lab.must(`ip link add other0 type veth peer name other1; ip link set other1 netns ${one}`)
    await bed.remember()
    const other = { name: 'other0', sandbox: '' }
    for (const interfaces of [[other, ...(bed.attached.interfaces ?? [])], []]) {
      const prevResult = { ...bed.attached, interfaces, ips: [] }
      const { code, stdout, stderr } = await bed.call('ADD', SMALL_TO_POD, prevResult)
      expect(code, `${stdout}${stderr}`).toBe(0)
      expect((await shapersOf(lab)).map(({ dev }) => dev)).toEqual([bed.peer])
      await bed.leavesNothing()
    }
    await lab.must('ip link del other0')
    await bed.remember()
  })
})

describe('a limit that is there', () => {
  test('B13: a second ADD is refused, and takes nothing away from the first', async () => {
    await bed.add(SMALL_TO_POD)
    const there = await snapshot(lab)
    expect(errorOf(await bed.call('ADD', SMALL_TO_POD))).toMatchObject({ code: 11 })
    expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
    await bed.leavesNothing()
  })

  test('B14: CHECK names whatever of the pair’s shaper is not as the ADD left it', async () => {
    const result = await bed.add(SMALL_TO_POD)
    await silently(bed.call('CHECK', SMALL_TO_POD, result))
    const { peer } = bed
    const own = (await shapersOf(lab))[0]?.handle ?? ''
    for (const [change, named] of [
      [`tc qdisc del dev ${peer} root`, `"${peer}" has no shaper of ours`],
      [
        `tc qdisc replace dev ${peer} root handle 1: tbf rate 8kbit burst 1518b limit 13662b`,
        `"${peer}" has no shaper of ours`,
      ],
      [
        `tc qdisc replace dev ${peer} root handle ${own} tbf rate 9kbit burst 1518b limit 13662b`,
        'rate 1125 instead of 1000',
      ],
      [
        `tc qdisc replace dev ${peer} root handle ${own} tbf rate 8kbit burst 1518b limit 20000b`,
        'limit 20000 instead of 13662',
      ],
    ] as const) {
      await lab.must(change)
      const { code, msg, details = '' } = errorOf(await bed.call('CHECK', SMALL_TO_POD, result))
      expect([code, `${msg}; ${details}`]).toEqual([104, expect.stringContaining(named)])
      await bed.del()
      // A qdisc that another hand has put in its place stays, and is no limit of ours.
      if (change.includes('handle 1:')) await lab.must(`tc qdisc del dev ${peer} root handle 1:`)
      await bed.add(SMALL_TO_POD)
    }
    const more = { ...SMALL_TO_POD, ingressRate: 16_000 }
    expect(errorOf(await bed.call('CHECK', more, result))).toMatchObject({
      code: 104,
      msg: expect.stringContaining('limited to 8000 bit/s with a burst of 80, and 16000 bit/s'),
    })
    await bed.leavesNothing()
    expect(errorOf(await bed.call('CHECK', SMALL_TO_POD, result))).toMatchObject({ code: 104 })
  })
})
