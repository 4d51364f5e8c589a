// Limits of frames from a pod behind the distribution's Go bridge plugin: a filter on the host's end of its veth leads
// them to an ifb with a shaper, alone and beside the limit to the pod (test/native/bandwidth/veth.test.ts). Nothing stays
// behind. The kernel's first classifier makes the filter: matchall, flower, u32 or basic;
// test/lab/bandwidth/classifiers.test.ts has each.
// needs: veth, bridge, tbf, ifb, clsact, u32, nft
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { BRIDGE, bridgeList, warmBridge, webAndDns } from '../../../hack/lab/bed/bridge-bed.ts'
import {
  attachment as attachmentOf,
  errorOf,
  json,
  pluginPath,
  silently,
  testRuntime,
} from '../../../hack/lab/bed/plugins.ts'
import { type Stream, startMeter } from '../../../hack/lab/bed/rate.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod } from '../../../hack/lab/bed/topology.ts'
import { cniRuntime, type PluginConfig, type Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import {
  expectWithin,
  limitFor,
  look,
  SETTLED_TCP,
  type ShownLimit,
  unlimited,
} from '../../support/limits.ts'
import {
  BURSTS,
  OWN_HANDLE,
  RatePod,
  SMALL,
  SMALL_FROM_POD,
  shapersOf,
  standardBurst,
} from '../../support/rate-veth.ts'

// A look that a busy machine has spoilt is repeated, each for some seconds.
vi.setConfig({ testTimeout: 400_000 })

const one = 'pod-one'
const records = '/var/lib/cni/vf-flower/offload'

let lab: Lab
let runtime: Runtime
let bed: RatePod

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  bed = await RatePod.attach(lab, runtime, one)
  await bed.remember()
})
afterAll(async () => {
  await bed?.end()
  await lab.must('ip link del cni0')
})
afterEach(() => bed.del())

interface Counted {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
}

/** The counters of the limit in vfctl are those of tc, before and after, and more than was received through it. */
async function counted(received: number, ifb: string): Promise<void> {
  const shaper = async () =>
    (JSON.parse(await lab.must(`tc -s -j qdisc show dev ${ifb} root`)) as [Counted])[0]
  const earlier = await shaper()
  const [shown] = JSON.parse(await lab.must(`${pluginPath[0]}/vfctl show --json`)) as [
    { limits: ShownLimit[] },
  ]
  const later = await shaper()
  const parts = shown.limits.find(({ direction }) => direction === 'fromPod')?.parts ?? []
  const counters = parts.find(({ line }) => line.includes(' tbf '))?.counters
  expect(counters?.hardware).toEqual({ packets: 0, bytes: 0 })
  for (const [value, field] of [
    [counters?.software.bytes, 'bytes'],
    [counters?.software.packets, 'packets'],
    [counters?.dropped, 'drops'],
  ] as const) {
    expect(value).toBeGreaterThanOrEqual(earlier[field])
    expect(value).toBeLessThanOrEqual(later[field])
  }
  // The shaper, the filter that leads to its ifb, and the ifb itself.
  expect(parts).toHaveLength(3)
  for (const part of parts) expect(part.counters?.software.bytes).toBeGreaterThan(received)
}

/** GC as a runtime calls it that knows these attachments and no others. */
const gc = (...valid: readonly string[]) =>
  runtime.call(
    'GC',
    { ...bridgeList(one), cniVersion: '1.1.0' },
    { type: 'vf-offload', capabilities: { bandwidth: true } },
    attachmentOf(''),
    {
      config: { 'cni.dev/valid-attachments': valid.map((containerID) => ({ containerID, ifname: 'eth0' })) },
    },
  )

describe('a limit from the pod', () => {
  test('B1, B2, B17: a limit of 8 kbit/s both ways is a shaper on the pair and one on an ifb of its MTU, which the result gains', async () => {
    await lab.must(`ip link set ${bed.peer} mtu 1400; ip -n ${one} link set eth0 mtu 1400`)
    const result = await bed.add(SMALL)
    const [ifb, ...more] = (result.interfaces ?? []).slice(bed.attached.interfaces?.length)
    expect(more).toEqual([])
    expect(ifb).toMatchObject({ name: expect.stringMatching(/^vfr[0-9a-f]{12}$/), sandbox: '' })
    const [link] = await json(lab, `ip -d -j link show dev ${ifb?.name}`)
    expect(link).toMatchObject({ mtu: 1400, linkinfo: { info_kind: 'ifb' }, address: ifb?.mac })
    const shown = await lab.must(`${pluginPath[0]}/vfctl show`)
    expect(shown).toContain(
      'what comes to the pod is limited to 8000 bit/s: on the host (tbf, counts frames)',
    )
    expect(shown).toContain('what the pod sends is limited to 8000 bit/s: on the host (ifb, counts frames)')
    // A burst of ten bytes would let no frame through.
    expect(
      (await shapersOf(lab)).map(({ dev, handle, options }) => [dev, handle, options.rate, options.burst]),
    ).toEqual(
      expect.arrayContaining([
        [bed.peer, expect.stringMatching(OWN_HANDLE), 1000, 1418],
        [ifb?.name, expect.stringMatching(OWN_HANDLE), 1000, 1418],
      ]),
    )
    await bed.del()
    await lab.must(`ip link set ${bed.peer} mtu 1500; ip -n ${one} link set eth0 mtu 1500`)
    const alone = await bed.add(SMALL_FROM_POD)
    expect((await shapersOf(lab)).map(({ dev }) => dev)).toEqual([alone.interfaces?.at(-1)?.name])
    await bed.leavesNothing()
  })

  test('B11: the bursts of runtimes wrap no counter, both ways, from 8 kbit/s to 400 Gbit/s', async () => {
    const { kubelet, containerd, crio } = BURSTS
    for (const [rate, ingressBurst, egressBurst] of [
      [8e3, containerd, crio],
      [400e9, crio, kubelet],
    ] as const) {
      const wishes = { ingressRate: rate, ingressBurst, egressRate: rate, egressBurst }
      const { code, stdout, stderr } = await bed.call('ADD', wishes)
      expect([code, stdout]).toEqual([0, expect.any(String)])
      expect(stderr).toContain(`ingressBurst ${ingressBurst}: what runtimes send for none`)
      expect(stderr).toContain(`egressBurst ${egressBurst}: what runtimes send for none`)
      const { bytes, tick } = standardBurst(rate)
      const found = await shapersOf(lab)
      expect(found).toHaveLength(2)
      for (const { options } of found) {
        expect(options.rate).toBe(rate / 8)
        expect(Math.abs(options.burst - bytes)).toBeLessThan(tick)
      }
      await silently(bed.call('CHECK', wishes))
      await bed.del()
    }
  })

  test('a kernel without matchall has the filter by another classifier, which ADD, the report and vfctl name', async () => {
    const { code, stdout, stderr } = await bed.call('ADD', SMALL_FROM_POD)
    const shown = await lab.must(`tc filter show dev ${bed.peer} ingress`)
    const [, classifier = ''] = /pref 60000 (\w+)/.exec(shown) ?? []
    expect(code).toBe(0)
    if (classifier === 'matchall') expect(stderr).not.toContain('classifier')
    else expect(stderr).toMatch(new RegExp(`made by classifier ${classifier}; not by matchall: .*ENOENT`))
    const line = new RegExp(`tc filter add dev ${bed.peer} ingress prio 60000 ${classifier} .*action mirred`)
    expect(await lab.must(`${pluginPath[0]}/vfctl show`)).toMatch(line)
    expect(await lab.must(`cat ${records}/report/*.json`)).toMatch(line)
    await silently(bed.call('CHECK', SMALL_FROM_POD, JSON.parse(stdout)))
    await bed.leavesNothing()
  })

  test('B10, B11: TCP from the pod gets its rate with the burst of a runtime', async () => {
    const meter = startMeter(lab)
    const fromPod: Stream = { from: one, to: null, address: BRIDGE.v4, port: 5001 }
    const mbit = limitFor(await unlimited(meter, fromPod))
    // CRI-O's: taken literally, no limit would begin before four gigabytes have passed.
    const result = await bed.add({ egressRate: mbit * 1e6, egressBurst: BURSTS.crio })
    const verdict = await look(meter, [{ ...fromPod, ...SETTLED_TCP }], mbit, [90, 105])
    expectWithin(verdict, [90, 105])
    await meter.end()
    await counted(verdict.received, result.interfaces?.at(-1)?.name ?? '')
  })
})

describe('beside things of others', () => {
  test('B12: clsact and filters of others survive ADD and DEL, and see every frame before ours, which is said', async () => {
    const { peer } = bed
    // Filters of u32 share hash tables: ours must leave none of its own behind.
    await lab.must(`tc qdisc add dev ${peer} clsact
      tc filter add dev ${peer} ingress protocol ip prio 5 u32 match ip protocol 1 0xff action mirred egress mirror dev lo`)
    const foreign = await snapshot(lab)
    const { code, stderr } = await bed.call('ADD', SMALL)
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(
        /is not limited as far as others take it first on "veth.*": tc filter .*prio 5 .*u32 match u32 /,
      ),
    ])
    expect(await lab.must(`tc filter show dev ${peer} ingress`)).toMatch(
      /pref 5 u32[\s\S]*pref 60000 (matchall|flower|u32|basic)/,
    )
    await bed.del()
    expect(diffSnapshot(foreign, await snapshot(lab))).toEqual([])
    await lab.must(`tc qdisc del dev ${peer} clsact`)
  })

  test('a limit that would replace a root qdisc of others on the pair is refused and names it, one behind it is made', async () => {
    await lab.must(`tc qdisc add dev ${bed.peer} root handle 1: tbf rate 1gbit burst 1mb latency 50ms`)
    const foreign = await snapshot(lab)
    const result = await bed.add(SMALL_FROM_POD)
    await silently(bed.call('CHECK', SMALL_FROM_POD, result))
    await bed.del()
    const { code, msg } = errorOf(await bed.call('ADD', SMALL))
    expect([code, msg]).toEqual([
      102,
      expect.stringContaining('the interface has the root qdisc tbf 1: already'),
    ])
    // After both.
    expect(diffSnapshot(foreign, await snapshot(lab))).toEqual([])
    await lab.must(`tc qdisc del dev ${bed.peer} root`)
  })

  test('bandwidth and portmap work beside each other in one list, each by its own name', async () => {
    const list = bridgeList(one)
    const attachment = bed.attachment({ portMappings: webAndDns, bandwidth: SMALL })
    const prevResult = bed.attached
    const portmap: PluginConfig = { type: 'vf-offload', capabilities: { portMappings: true } }
    const bandwidth: PluginConfig = { type: 'bandwidth', capabilities: { bandwidth: true } }
    // Installed under that name, as an operator does it who has no other plugin of the name.
    await lab.must(`mkdir -p /run/rate-names && ln -sf ${pluginPath[0]}/vf-offload /run/rate-names/bandwidth`)
    const named = cniRuntime(lab, ['/run/rate-names', ...pluginPath])
    await silently(named.call('STATUS', { ...list, cniVersion: '1.1.0' }, bandwidth, attachment))
    const first = await named.call('ADD', list, portmap, attachment, { prevResult })
    const second = await named.call('ADD', list, bandwidth, attachment, {
      prevResult: JSON.parse(first.stdout),
    })
    expect([first.code, second.code, second.stderr]).toEqual([
      0,
      0,
      expect.stringContaining('ingressBurst 80'),
    ])
    expect(await shapersOf(lab)).toHaveLength(2)
    // One goes, the other stays, with the filter that leads to its ifb.
    const detour = `tc filter show dev ${bed.peer} ingress | grep -c 'mirred (Egress Redirect to device vfr'`
    await silently(named.call('DEL', list, portmap, attachment))
    expect([await shapersOf(lab), await lab.must(detour)]).toEqual([
      expect.objectContaining({ length: 2 }),
      '1\n',
    ])
    const again = await named.call('ADD', list, portmap, attachment, { prevResult })
    expect(again.code).toBe(0)
    expect(await shapersOf(lab)).toHaveLength(2)
    await silently(named.call('DEL', list, bandwidth, attachment))
    expect(await shapersOf(lab)).toEqual([])
    await silently(named.call('DEL', list, portmap, attachment))
    await lab.must('rm -r /run/rate-names')
    await bed.isAsBefore()
  })
})

describe('CHECK and DEL', () => {
  test('B14: CHECK names whatever of filter, ifb and its shaper is not as the ADD left it', async () => {
    const result = await bed.add(SMALL)
    const ifb = result.interfaces?.at(-1)?.name ?? ''
    const { peer } = bed
    await silently(bed.call('CHECK', SMALL, result))
    // All that is wrong is named, so that one fault may stay beside the next.
    for (const [change, named] of [
      [`ip link set ${ifb} mtu 1300`, 'MTU 1300 instead of 1500'],
      [`ip link set ${ifb} down`, `"${ifb}" is down`],
      [`ip link set ${ifb} up; tc qdisc del dev ${ifb} root`, `"${ifb}" has no shaper of ours`],
      [
        `cookie=$(tc filter show dev ${peer} ingress | sed -n 's/.*cookie \\([0-9a-f]*\\).*/\\1/p')
        tc filter del dev ${peer} ingress
        tc filter add dev ${peer} ingress prio 60000 u32 match u32 0 0 skip_hw action mirred egress mirror dev ${ifb} cookie $cookie`,
        `the filter on "${peer}" is another one`,
      ],
      [`tc filter del dev ${peer} ingress`, `"${peer}" has no filter of ours`],
      [`ip link del ${ifb}`, `there is no "${ifb}"`],
    ] as const) {
      await lab.must(change)
      const { code, msg, details = '' } = errorOf(await bed.call('CHECK', SMALL, result))
      expect([code, `${msg}; ${details}`]).toEqual([104, expect.stringContaining(named)])
    }
    await bed.leavesNothing()
  })

  // From here on the pod's interface goes, and comes back.

  test('B16: DEL leaves nothing when the interface is gone and its namespace lives', async () => {
    await bed.add(SMALL)
    const note = `/run/vf-flower/clsact-${(await lab.must(`cat /sys/class/net/${bed.peer}/ifindex`)).trim()}`
    await lab.must(`test -e ${note} && ip -n ${one} link del eth0`)
    await bed.del()
    expect(await lab.must('ip -br link show type ifb')).toBe('')
    expect(await lab.must(`find ${records} ${note} -type f 2>/dev/null || true`)).toBe('')
  })

  test('limits behind a bridge whose record is lost refuse another ADD, and GC takes them with the report when the pod is gone', async () => {
    await bed.end()
    const before = await snapshot(lab)
    bed = await RatePod.attach(lab, runtime, one)
    await bed.add(SMALL)
    await lab.must(`rm ${records}/*.json; ls ${records}/report/*.json`)
    const there = await snapshot(lab)
    const both = { type: 'vf-offload', capabilities: { bandwidth: true, portMappings: true } }
    for (const wishes of [{ bandwidth: SMALL }, { portMappings: webAndDns }]) {
      const call = runtime.call('ADD', bridgeList(one), both, bed.attachment(wishes), {
        prevResult: bed.attached,
      })
      const { code, msg, details = '' } = errorOf(await call)
      expect([code, `${msg}; ${details}`]).toEqual([
        11,
        expect.stringMatching(/served already and needs a DEL first; its record is lost, there is its "vfr/),
      ])
    }
    // GC takes nothing either: it is listed, or lives by what its report says.
    await silently(gc(one))
    expect(errorOf(await gc())).toMatchObject({ code: 103, msg: expect.stringContaining('gcLive') })
    expect(diffSnapshot(there, await snapshot(lab))).toEqual([])
    // The shaper on the pair dies with the pod.
    await deletePod(lab, one)
    expect(await lab.must('ip -br link show type ifb')).toContain('vfr')
    await silently(gc())
    expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
    expect(await lab.must(`find ${records} -type f`)).toBe('')
  })

  test('B16: DEL finds the ifb by its name when namespace and record are gone', async () => {
    bed = await RatePod.attach(lab, runtime, one)
    await bed.add(SMALL)
    await lab.must(`rm -r ${records}`)
    await deletePod(lab, one)
    await bed.del({ netns: '' })
    expect(await lab.must('ip -br link show type ifb')).toBe('')
    expect(await lab.must('tc qdisc show | grep -c tbf || true')).toBe('0\n')
  })
})
