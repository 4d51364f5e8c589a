// Pods of containerd on networks that chain our plugins with the distribution's: mapped ports and limits, with traffic from the wire,
// and nothing left behind. The calls run standalone and through an agent.
// needs: veth, bridge, macvlan, ifb, clsact, tbf, u32, nft, conntrack, cgroup
// packages: containerd, runc, libseccomp2
import { afterAll, beforeAll, test } from 'vitest'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'
import { endPod, runPod } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { expectAnswers, expectClosed, expectNothingLeft, runtimeBed } from '../../support/runtime/bed.ts'

let lab: Lab
let runtime: Containerd

beforeAll(async () => {
  lab = await sharedLab()
  runtime = await runtimeBed(lab)
})
afterAll(async () => {
  await runtime?.end()
})

test('bridge', async () => {
  const pod = await runPod(runtime, {
    name: 'web',
    network: 'bridge',
    ports: [{ host_port: 8080, container_port: 80 }],
  })
  await expectAnswers(lab, pod, 8080)
  await endPod(runtime, pod)
  await expectClosed(lab, 8080)
  await expectNothingLeft(lab, runtime)
})
