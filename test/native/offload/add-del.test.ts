// vf-offload refuses wishes that are wrong and passes on a result without mappings, whatever port a pod has. Shown behind
// the distribution's Go bridge plugin.
// needs: veth, bridge, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeList,
  mainOnly,
  podOf,
  tryOffload,
  warmBridge,
  webAndDns,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const pod = 'pod-one'
let lab: Lab
let runtime: Runtime
let prevResult: CniResult
let attached: Snapshot

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await warmBridge(lab, runtime)
  await newPod(lab, pod)
  prevResult = await attachToBridge(lab, runtime, pod)
  attached = await snapshot(lab)
})
afterAll(async () => {
  await runtime.del(mainOnly(bridgeList(pod)), podOf(pod))
  await deletePod(lab, pod)
  await lab.must('ip link del cni0')
})

test('wishes that are wrong are refused with code and value, and nothing is changed', async () => {
  const wrong: [Record<string, unknown>, unknown, number, string][] = [
    [{ offload: 'maybe' }, webAndDns, 7, 'offload "maybe"'],
    [{}, [{ hostPort: 0, containerPort: 80 }], 7, 'hostPort 0'],
    [{}, [{ hostPort: 8080, containerPort: 65536 }], 7, 'containerPort 65536'],
    [{}, [{ hostPort: '8080', containerPort: 80 }], 7, 'hostPort "8080"'],
    [{}, [{ hostPort: 8080, containerPort: 80, protocol: 'icmp' }], 7, 'protocol "icmp"'],
    [{}, [{ hostPort: 8080, containerPort: 80, hostIP: 'bogus' }], 7, 'hostIP "bogus"'],
  ]
  for (const [config, ports, code, words] of wrong) {
    const error = errorOf(await tryOffload(runtime, 'ADD', pod, { config, ports, prevResult }))
    expect(error, words).toMatchObject({ code, msg: expect.stringContaining(words) })
  }
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})

test('ADD without prevResult is refused, and without mappings passes the result on', async () => {
  const alone = errorOf(await tryOffload(runtime, 'ADD', pod))
  expect(alone).toMatchObject({ code: 7, msg: 'must be called as chained plugin' })
  const passed = await tryOffload(runtime, 'ADD', pod, { ports: [], prevResult })
  expect(JSON.parse(passed.stdout)).toEqual(prevResult)
  expect(diffSnapshot(attached, await snapshot(lab))).toEqual([])
})
