// Pods of containerd on networks that chain our plugins with the distribution's: mapped ports and limits, with traffic from the wire,
// and nothing left behind. The calls run standalone and through an agent.
// needs: veth, bridge, macvlan, ifb, clsact, tbf, u32, nft, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import { HOST } from '../../../hack/lab/bed/topology.ts'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'
import { callsAt } from '../../../hack/lab/containerd/gate.ts'
import { endPod, knownPods, type RunningPod, runPod, runSandbox } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import {
  beginWay,
  expectAnswers,
  expectClosed,
  expectNothingLeft,
  expectWhole,
  page,
  runtimeBed,
  startDhcp,
  WAYS,
} from '../../support/runtime/bed.ts'

const web = [{ host_port: 8080, container_port: 80 }]
const limits = {
  'kubernetes.io/ingress-bandwidth': '100M',
  'kubernetes.io/egress-bandwidth': '50M',
}
let lab: Lab
let runtime: Containerd
let endDhcp: (() => Promise<void>) | undefined

beforeAll(async () => {
  lab = await sharedLab()
  runtime = await runtimeBed(lab)
  endDhcp = await startDhcp(lab)
  // A busy machine.
}, 240_000)
afterAll(async () => {
  await endDhcp?.()
  await runtime?.end()
})

/** Shapers that `tc` shows in a namespace, or on the host: rate in Mbit/s and bytes that have passed. */
async function shapers(netns?: string): Promise<{ rate: number; bytes: number }[]> {
  const inside = netns === undefined ? '' : `nsenter --net='${netns}' `
  const all = (await json(lab, `${inside}tc -j -s qdisc show`)) as {
    kind: string
    bytes: number
    options: { rate?: number }
  }[]
  return all
    .filter(({ kind }) => kind === 'tbf')
    .map(({ bytes, options }) => ({ rate: (Number(options.rate) * 8) / 1e6, bytes }))
}

/** Frames of a pod with both limits pass the shaper of 50 Mbit/s, and those to it that of 100. */
async function expectLimits(url: string, netns?: string): Promise<void> {
  const size = await expectWhole(lab, url)
  const [from, to] = (await shapers(netns)).sort((a, b) => a.rate - b.rate)
  expect([from?.rate, to?.rate]).toEqual([50, 100])
  expect(from?.bytes).toBeGreaterThan(size)
  // Acknowledgements alone.
  expect(to?.bytes).toBeGreaterThan(1_000)
  expect(to?.bytes).toBeLessThan(size)
}

test('the network is ready with a declared capability whose means the kernel lacks; containerd 2 asks the plugins', async () => {
  const { status } = await runtime.cri.call('Status')
  expect(status).toMatchObject({
    conditions: expect.arrayContaining([expect.objectContaining({ type: 'NetworkReady', status: true })]),
  })
  // In the list of the first network the plugin behind ours is asked when ours has said yes.
  const asked = (await callsAt(lab, 'witness', '')).includes('STATUS')
  expect(asked).toBe(runtime.major >= 2)
})

const sandboxOf = (pod: RunningPod) => `nsenter --net='${pod.netns}'`

describe.each(WAYS)('%s', (way) => {
  let end: (() => Promise<void>) | undefined
  beforeAll(async () => {
    end = await beginWay(lab, way)
  })
  afterAll(() => end?.())

  test('bridge: a mapped port and both limits; Stop and Remove are a DEL each', async () => {
    const pod = await runPod(runtime, { name: 'web', network: 'bridge', ports: web, annotations: limits })
    await expectAnswers(lab, pod, 8080)
    await expectLimits(`http://${HOST.v4}:8080/`)
    await endPod(runtime, pod)
    expect(await callsAt(lab, 'witness', pod.id)).toEqual(['ADD', 'DEL', 'DEL'])
    await expectClosed(lab, 8080)
    await expectNothingLeft(lab)
  })

  test('vf-attach, tuning and vf-offload: the device, its setting and a mapped port; the device comes back', async () => {
    const [before] = await json(lab, 'ip -j link show nic0')
    const pod = await runPod(runtime, { name: 'own-nic', network: 'attach', ports: web })
    const [inside] = await json(lab, `${sandboxOf(pod)} ip -j link show eth0`)
    expect([inside?.address, inside?.operstate]).toEqual([before?.address, 'UP'])
    // The pod's own /proc is that of its namespace.
    const setting = `${sandboxOf(pod)} cat /proc/sys/net/ipv4/conf/eth0/arp_notify`
    expect(await lab.must(setting)).toBe('1\n')
    await expectAnswers(lab, pod, 8080)
    await expectWhole(lab, `http://${HOST.v4}:8080/`)
    await endPod(runtime, pod)
    await expectClosed(lab, 8080)
    const [after] = await json(lab, 'ip -j link show nic0')
    expect([after?.address, after?.operstate]).toEqual([before?.address, 'DOWN'])
    await expectNothingLeft(lab)
  })

  test('ptp: a mapped port and both limits', async () => {
    const pod = await runPod(runtime, { name: 'pair', network: 'ptp', ports: web, annotations: limits })
    await expectAnswers(lab, pod, 8080)
    await expectLimits(`http://${HOST.v4}:8080/`)
    await endPod(runtime, pod)
    await expectClosed(lab, 8080)
    await expectNothingLeft(lab)
  })

  test('macvlan and sbr, IPAM static: both limits alone; a mapped port is refused with the way out', async () => {
    const pod = await runPod(runtime, { name: 'on-wire', network: 'macvlan', annotations: limits })
    expect(pod.ip).toBe('10.1.0.50')
    expect(await page(lab, `http://${pod.ip}/`)).toBe(`${pod.word}\n`)
    await expectLimits(`http://${pod.ip}/`, pod.netns)
    // sbr has moved the routes of the interface to a table of its own.
    expect(await lab.must(`${sandboxOf(pod)} ip rule`)).toMatch(/from 10\.1\.0\.50 lookup/)
    await endPod(runtime, pod)
    await expectNothingLeft(lab)
    await expect(runSandbox(runtime, { name: 'mapped', network: 'macvlan', ports: web })).rejects.toThrow(
      /plugin type="vf-offload" failed \(add\): Cannot map ports of "eth0": it is macvlan; must be .*, as "vf-attach", "bridge" and "ptp" make them, or a macvlan of the interface that the key "uplink" names/,
    )
    expect(await knownPods(runtime)).toEqual([])
    await expectNothingLeft(lab)
  })

  test('IPAM dhcp: an address of the server on the wire, and the same server serves the next pod', async () => {
    for (const name of ['first', 'next']) {
      const pod = await runPod(runtime, { name, network: 'dhcp' })
      expect(pod.ip).toMatch(/^10\.1\.0\.1[012]\d$/)
      expect(await page(lab, `http://${pod.ip}/`)).toBe(`${pod.word}\n`)
      await endPod(runtime, pod)
      await expectNothingLeft(lab)
    }
  })

  test('a port that another pod has is refused with the name of that pod, which keeps it', async () => {
    const pod = await runPod(runtime, { name: 'owner', network: 'bridge', ports: web })
    const late = runSandbox(runtime, { name: 'late', network: 'ptp', ports: web })
    await expect(late).rejects.toThrow(new RegExp(`plugin type="vf-offload" failed .*8080.*${pod.id}`))
    expect((await knownPods(runtime)).map(({ id }) => id)).toEqual([pod.id])
    await expectAnswers(lab, pod, 8080)
    await endPod(runtime, pod)
    const next = await runPod(runtime, { name: 'late', network: 'ptp', ports: web })
    await expectAnswers(lab, next, 8080)
    await endPod(runtime, next)
    await expectNothingLeft(lab)
  })

  test('a pod that is stopped twice and removed twice', async () => {
    const pod = await runPod(runtime, { name: 'twice', network: 'attach', ports: web })
    for (const call of ['StopPodSandbox', 'StopPodSandbox', 'RemovePodSandbox', 'RemovePodSandbox'] as const)
      await runtime.cri.call(call, { pod_sandbox_id: pod.id })
    await expectClosed(lab, 8080)
    await expectNothingLeft(lab)
  })
})
