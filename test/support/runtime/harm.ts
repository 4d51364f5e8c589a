// Harm to a container runtime while a plugin has a call of its, and the ends of what is left. In: a lab, a runtime. Out: pods that are gone.
import { expect } from 'vitest'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'
import { CriError } from '../../../hack/lab/containerd/cri.ts'
import { closeGate, gateReached } from '../../../hack/lab/containerd/gate.ts'
import { endPod, knownPods, type PodWish, runSandbox } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'

/** Begins a pod, and kills the runtime while the plugin `gate` has the call. Returns the ID of the pod's sandbox. */
export async function killAt(lab: Lab, runtime: Containerd, gate: string, wish: PodWish): Promise<string> {
  await closeGate(lab, gate)
  const begun = runSandbox(runtime, wish).then(
    () => 'made',
    (error: unknown) => error,
  )
  await gateReached(lab, gate)
  await runtime.kill()
  expect(await begun).toBeInstanceOf(CriError)
  const sandbox = await lab.must(`tail -n 1 /run/gate/${gate}.calls | cut -d' ' -f2`)
  return sandbox.trim()
}

/** Ends all pods that the runtime knows, as kubelet does with those that are not ready. */
export async function endAll(runtime: Containerd): Promise<void> {
  for (const pod of await knownPods(runtime)) await endPod(runtime, pod)
}
