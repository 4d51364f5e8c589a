// Pods of containerd on VFs of igb and of simnic in switchdev mode (from source, not hardware), and on a macvlan of a PF: mapped ports
// and limits, with traffic from the wire; filters in the card; conflicts, repeated ends, and a runtime that is killed in an ADD.
// packages: containerd, runc, libseccomp2
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { json } from '../../../hack/lab/bed/plugins.ts'
import { type Card, hardwareRules, watchKernelLog } from '../../../hack/lab/bed/simnic.ts'
import { HOST, loadIgb } from '../../../hack/lab/bed/topology.ts'
import { type Containerd, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { callsAt, GATE, GATED_IPAM, openGate } from '../../../hack/lab/containerd/gate.ts'
import { leftovers } from '../../../hack/lab/containerd/leftovers.ts'
import { endPod, knownPods, type RunningPod, runPod, runSandbox } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { recordedLimits } from '../../support/rate-bed.ts'
import { expectAnswers, expectClosed, expectWhole } from '../../support/runtime/bed.ts'
import {
  type CardNode,
  cardNetworks,
  expectAllHome,
  igbNode,
  simnicNode,
} from '../../support/runtime/card-bed.ts'
import { endAll, killAt } from '../../support/runtime/harm.ts'

// A pod in emulation takes seconds, and a busy machine makes minutes of them.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 })

const ports = [{ host_port: 8080, container_port: 80 }]
const annotations = {
  'kubernetes.io/ingress-bandwidth': '100M',
  'kubernetes.io/egress-bandwidth': '50M',
}
const url = `http://${HOST.v4}:8080/`
let lab: Lab
let runtime: Containerd
let pf: string

beforeAll(async () => {
  lab = await sharedLab()
  ;({ pf } = await loadIgb(lab))
  runtime = await startContainerd(lab, cardNetworks(pf), { 'gated-ipam': GATED_IPAM, behind: GATE })
})
// A test that has failed leaves a gate closed, no runtime, or pods.
afterEach(async () => {
  for (const gate of ['gated-ipam', 'behind']) await openGate(lab, gate)
  await runtime.start()
  await endAll(runtime)
})
afterAll(() => runtime?.end())

const inside = (pod: RunningPod) => `nsenter --net='${pod.netns}'`

describe('igb in legacy mode', () => {
  let node: CardNode
  beforeAll(async () => {
    node = await igbNode(lab, await loadIgb(lab))
  })
  afterAll(() => node?.end())

  test('vf-attach, tuning and vf-offload: a VF, its settings, a mapped port and both limits; the VF comes home', async () => {
    const pod = await runPod(runtime, { name: 'own-vf', network: 'legacy', ports, annotations })
    const [link] = await json(lab, `${inside(pod)} ip -d -j link show eth0`)
    expect(link).toMatchObject({ mtu: 1400, operstate: 'UP', parentdev: node.net.vfs[0]?.pci })
    expect(await lab.must(`${inside(pod)} cat /proc/sys/net/ipv4/conf/eth0/arp_notify`)).toBe('1\n')
    await expectAnswers(lab, pod, 8080)
    await expectWhole(lab, url)
    expect(await recordedLimits(lab)).toEqual([
      ['toPod', 'pod', 'ifb'],
      ['fromPod', 'nic', 'max_tx_rate'],
    ])
    const [shown] = await json(lab, `ip -j -d link show dev ${pf}`)
    expect(shown).toMatchObject({ vfinfo_list: [{ rate: { max_tx: 50 } }, { rate: { max_tx: 0 } }] })
    await endPod(runtime, pod)
    await expectClosed(lab, 8080)
    await expectAllHome(lab, node)
    const [after] = await json(lab, `ip -j -d link show dev ${pf}`)
    expect(after).toMatchObject({ vfinfo_list: [{ rate: { max_tx: 0 } }, { rate: { max_tx: 0 } }] })
  })

  test('macvlan, sbr and vf-offload with the uplink: a mapped port and both limits', async () => {
    const pod = await runPod(runtime, { name: 'by-uplink', network: 'macvlan', ports, annotations })
    // sbr has moved the routes of the interface to a table of its own.
    expect(await lab.must(`${inside(pod)} ip rule`)).toContain(`from ${pod.ip} lookup`)
    await expectAnswers(lab, pod, 8080)
    await expectWhole(lab, url)
    expect(await recordedLimits(lab)).toEqual([
      ['toPod', 'pod', 'ifb'],
      ['fromPod', 'pod', 'tbf'],
    ])
    await endPod(runtime, pod)
    await expectClosed(lab, 8080)
    await expectAllHome(lab, node)
  })
})

describe('simnic in switchdev mode', () => {
  let node: CardNode & { readonly card: Card }
  let trouble: () => Promise<string[]>
  beforeAll(async () => {
    trouble = await watchKernelLog(lab)
    node = await simnicNode(lab)
  })
  afterAll(async () => {
    await node?.end()
    expect(await trouble()).toEqual([])
  })

  /**
   * Leftovers but for those that the silence of containerd 1.7 leaves: a sandbox whose ADD did not end gets no DEL, so host-local keeps its
   * address, and libcni the results of its loopback.
   */
  async function ours(): Promise<string[]> {
    return (await leftovers(lab)).filter((line) => !/^address |^result .*\/cni-loopback-/.test(line))
  }

  test('vf-attach and vf-offload: port and limits in the card; a conflict is named; a pod that is ended twice', async () => {
    const pod = await runPod(runtime, { name: 'own-vf', network: 'switchdev', ports, annotations })
    await expectAnswers(lab, pod, 8080)
    const size = await expectWhole(lab, url)
    expect(await recordedLimits(lab)).toEqual([
      ['toPod', 'nic', 'police'],
      ['fromPod', 'nic', 'tx_max'],
    ])
    const rules = await hardwareRules(lab, node.card)
    const find = (text: string) => rules.find((rule) => rule.text.includes(text))
    // Frames of a stream hold 1,460 bytes at most. Every second one of them is acknowledged, at least.
    expect(find(' src_port 80 ')?.packets).toBeGreaterThan(size / 1460)
    expect(find(' dst_port 8080 ')?.text).toContain('police index')
    expect(find(' dst_port 8080 ')?.packets).toBeGreaterThan(20)
    const late = runSandbox(runtime, { name: 'late', network: 'switchdev', ports })
    await expect(late).rejects.toThrow(new RegExp(`plugin type="vf-offload" failed .*8080.*${pod.id}`))
    expect((await knownPods(runtime)).map(({ id }) => id)).toEqual([pod.id])
    await expectAnswers(lab, pod, 8080)
    for (const call of ['StopPodSandbox', 'StopPodSandbox', 'RemovePodSandbox', 'RemovePodSandbox'] as const)
      await runtime.cri.call(call, { pod_sandbox_id: pod.id })
    expect((await callsAt(lab, 'behind', pod.id)).filter((verb) => verb === 'DEL').length).toBeGreaterThan(1)
    await expectClosed(lab, 8080)
    await expectAllHome(lab, node)
    expect(await hardwareRules(lab, node.card)).toEqual([])
  })

  test('the runtime is killed in the ADD of vf-attach: the VF comes home while it is gone', async () => {
    await killAt(lab, runtime, 'gated-ipam', { name: 'killed', network: 'switchdev', ports })
    expect(await lab.must(`ls /sys/class/net/${node.card.pf}/device/virtfn0/net`)).toBe('')
    await openGate(lab, 'gated-ipam')
    await node.expectVfsHome()
    await runtime.start()
    await endAll(runtime)
    expect(await ours()).toEqual([])
  })

  test('the runtime is killed behind the ADD of vf-offload: the next pods get its VF and its port', async () => {
    const sandbox = await killAt(lab, runtime, 'behind', { name: 'killed', network: 'switchdev', ports })
    await openGate(lab, 'behind')
    await runtime.start()
    expect((await knownPods(runtime)).map(({ id, state }) => [id, state])).toEqual([[sandbox, 1]])
    await endAll(runtime)
    // containerd 1.7 has no DEL for it. What the killed one had goes when another pod wants it.
    await node.untilVfsOnHost()
    const next = await runPod(runtime, { name: 'next', network: 'switchdev', ports })
    const beside = await runSandbox(runtime, { name: 'beside', network: 'switchdev' })
    await expectAnswers(lab, next, 8080)
    await endPod(runtime, next)
    await endPod(runtime, { id: beside })
    await expectClosed(lab, 8080)
    expect(await ours()).toEqual([])
    await node.expectVfsHome()
    expect(await hardwareRules(lab, node.card)).toEqual([])
  })
})
