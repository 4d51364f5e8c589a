// Limits of a pod behind a veth pair through a warm agent. The ifb is gone when DEL answers, although the worker does not wait for the
// kernel to give the memory back; DELs that follow each other at once are served as well, and the workers stay.
// needs: veth, tbf, ifb, clsact, u32
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { servedBy, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const pods = ['limited-one', 'limited-two', 'limited-three'] as const
const limits = { ingressRate: 8000, ingressBurst: 80, egressRate: 8000, egressBurst: 80 }
const plugin = { type: 'vf-offload', ...limits }
const list = { cniVersion: '1.0.0', name: 'limited', plugins: [plugin] }

let lab: Lab
let agent: TestAgent
beforeAll(async () => {
  lab = await sharedLab()
  await lab.load('ifb numifbs=0')
  for (const [index, pod] of pods.entries()) {
    await newPod(lab, pod)
    await lab.must(`ip link add limited${index} up type veth peer name eth0 netns ${pod}
      ip -n ${pod} link set eth0 up`)
  }
})
afterAll(async () => {
  for (const [index, pod] of pods.entries()) {
    await lab.must(`ip link del limited${index}`)
    await deletePod(lab, pod)
  }
})
beforeEach(async () => {
  agent = await startAgent(lab)
})
afterEach(() => agent.stop())

const call = (verb: string, pod: string, config: object = {}) =>
  testRuntime(lab).call(
    verb,
    list,
    plugin,
    { containerID: pod, netns: `/run/netns/${pod}`, ifname: 'eth0' },
    { config: { prevResult: { cniVersion: '1.0.0', interfaces: [], ips: [] }, ...config } },
  )
const add = async (pod: string) => {
  const { code, stdout, stderr } = await call('ADD', pod)
  expect({ code, stderr: code === 0 ? '' : `${stdout}${stderr}` }).toEqual({ code: 0, stderr: '' })
}
const left = () => lab.must('ip -br link show type ifb; tc qdisc show | grep -E "tbf|clsact" || true')
const workers = async () => (await agent.status()).workers.map(({ pid }) => pid).sort()

test('nothing is left when DEL answers, and the same workers go on', async () => {
  const before = await workers()
  for (let round = 0; round < 3; round++) {
    for (const pod of pods) await add(pod)
    expect((await left()).match(/tbf/g)).toHaveLength(2 * pods.length)
    // One after the other without a pause: the kernel is not done with the ifb before.
    for (const pod of pods) await silently(call('DEL', pod))
    expect(await left()).toBe('')
  }
  await servedBy(agent, { ADD: 9, DEL: 9 })
  expect(await workers()).toEqual(before)
})

test('DELs at once leave nothing', async () => {
  for (const pod of pods) await add(pod)
  await Promise.all(pods.map((pod) => silently(call('DEL', pod))))
  expect(await left()).toBe('')
})
