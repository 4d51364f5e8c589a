// A pod with a thousand mappings on a node with twenty addresses: one transaction of twenty thousand elements, whatever the
// default send buffer is, and all of it is checked and goes again.
// needs: veth, bridge, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeList,
  offload,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, newPod } from '../../../hack/lab/bed/topology.ts'
import { serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const [pod, other] = ['pod-one', 'pod-two'] as const
const addresses = Array.from({ length: 20 }, (_, at) => `192.0.2.${at + 1}`)
const ports = Array.from({ length: 1_000 }, (_, at) => ({
  ...{ hostPort: 20_000 + at, containerPort: 1_000 + at, hostIP: '0.0.0.0' },
}))
let lab: Lab
let runtime: Runtime
const results: CniResult[] = []

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await lab.must(`ip link add nic0 type veth peer name far1
    ${addresses.map((address) => `ip address add ${address}/24 dev nic0`).join('\n')}
    ip link set nic0 up; ip link set far1 up`)
  await warmBridge(lab, runtime)
  for (const one of [pod, other]) {
    await newPod(lab, one)
    results.push(await attachToBridge(lab, runtime, one))
  }
})
afterAll(async () => {
  for (const one of [pod, other]) {
    await runtime.del(bridgeList(one), podOf(one))
    await deletePod(lab, one)
  }
  await lab.must('ip link del nic0; ip link del cni0')
})

test('a thousand mappings serve twenty addresses, the bridge’s and 127.0.0.1', {
  timeout: 240_000,
}, async () => {
  const before = await snapshot(lab)
  const [mine, theirs] = results as [CniResult, CniResult]
  await offload(runtime, 'ADD', pod, { ports, prevResult: mine })
  const listed = await lab.must('nft list map inet vf-flower ports4')
  expect(listed.match(/ comment "/g)).toHaveLength(22_000)
  const server = await serve(lab, pod, [{ name: 'pod', protocol: 'http', port: 1_999 }])
  try {
    const question = { protocol: 'http', address: '192.0.2.20', port: 20_999 } as const
    expect(await tryAsk(lab, null, [question])).toMatchObject([{ ok: true, server: 'pod' }])
  } finally {
    await server.stop()
  }
  await offload(runtime, 'CHECK', pod, { ports, prevResult: mine })
  // The last key of all is somebody's.
  const last = [{ hostPort: 20_999, containerPort: 80, hostIP: '192.0.2.20' }]
  expect(errorOf(await tryOffload(runtime, 'ADD', other, { ports: last, prevResult: theirs }))).toMatchObject(
    {
      code: 100,
      msg: expect.stringContaining('port 20999 is taken by container/interface "pod-one/eth0"'),
    },
  )
  await lab.must("nft 'delete element inet vf-flower ports4 { 192.0.2.20 . tcp . 20999 }'")
  expect(errorOf(await tryOffload(runtime, 'CHECK', pod, { ports, prevResult: mine }))).toMatchObject({
    code: 104,
    msg: expect.stringContaining('{ 192.0.2.20 . tcp . 20999 comment'),
  })
  await offload(runtime, 'DEL', pod)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
