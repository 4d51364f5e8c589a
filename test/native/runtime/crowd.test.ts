// 30 pods of containerd at once, each with a port of its own, then their ends at once: every pod works at its first try, every port leads to
// its pod, and nothing is left. The calls run standalone and through an agent.
// needs: veth, bridge, nft, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CLIENT_A, HOST } from '../../../hack/lab/bed/topology.ts'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'
import { endPod, knownPods, runPod } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { beginWay, expectNothingLeft, runtimeBed, WAYS } from '../../support/runtime/bed.ts'

const COUNT = 30
let lab: Lab
let runtime: Containerd

beforeAll(async () => {
  lab = await sharedLab()
  runtime = await runtimeBed(lab)
  // A busy machine.
}, 240_000)
afterAll(() => runtime?.end())

test.each(WAYS)('%s', { timeout: 240_000 }, async (way) => {
  const end = await beginWay(lab, way)
  const numbers = Array.from({ length: COUNT }, (_, index) => index)
  const made = await Promise.allSettled(
    numbers.map((index) =>
      runPod(runtime, {
        ...{ name: `pod-${index}`, network: 'bridge' },
        ports: [{ host_port: 9000 + index, container_port: 80 }],
      }),
    ),
  )
  expect(made.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []))).toEqual([])
  const urls = numbers.map((index) => `http://${HOST.v4}:${9000 + index}/`)
  const pages = await lab.must(
    `ip netns exec ${CLIENT_A.namespace} curl -sS --fail -m 60 --parallel-max 1 ${urls.join(' ')}`,
  )
  expect(pages.trim().split('\n')).toEqual(numbers.map((index) => `the word of pod-${index}`))
  const pods = await knownPods(runtime)
  expect(pods).toHaveLength(COUNT)
  await Promise.all(pods.map((pod) => endPod(runtime, pod)))
  await expectNothingLeft(lab)
  await end()
})
