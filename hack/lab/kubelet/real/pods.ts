// Pods of a real kubelet, by files or by an API server. In: a kubelet or a server. Out: pods that run, the words against those that do not, and
// the end of what kubelet has left to the runtime.
import type { Containerd } from '../../containerd/containerd.ts'
import { endPod, knownPods } from '../../containerd/pods.ts'
import { SimulatorError } from '../api.ts'
import type { ApiObject, Cluster } from './cluster.ts'
import { type PodObject, type PodState, type RealKubelet, type StaticPod, stateOf } from './kubelet.ts'

/** One way to make pods. */
export interface PodSide {
  /** Makes a pod and waits until it is ready. @throws SimulatorError with its reason when it fails */
  run(pod: StaticPod): Promise<PodState>
  /** Makes a pod that must fail; returns kubelet's words. */
  refused(pod: StaticPod): Promise<string>
  /** Deletes a pod; resolves when it is gone. */
  remove(name: string): Promise<void>
}

const WAIT_MS = 300_000
const isOver = (pod: PodState) => pod.isReady || pod.phase === 'Failed'

/** Static pods. */
export function podsByFiles(kubelet: RealKubelet): PodSide {
  const made = async (pod: StaticPod) => {
    await kubelet.place(pod)
    return kubelet.wait(pod.metadata.name, isOver, 'ready')
  }
  return { ...ways(made), remove: (name) => kubelet.remove(name) }
}

/** Pods of the server's namespace `default`. */
export function podsByServer(cluster: Cluster): PodSide {
  const path = '/api/v1/namespaces/default/pods'
  const look = async (name: string) =>
    stateOf((await cluster.api('GET', `${path}/${name}`)) as unknown as PodObject)
  const made = async (pod: StaticPod) => {
    await retried(() => cluster.api('POST', path, { apiVersion: 'v1', kind: 'Pod', ...pod }))
    const end = Date.now() + WAIT_MS
    for (;;) {
      const state = await look(pod.metadata.name)
      if (isOver(state)) return state
      if (Date.now() > end)
        throw new SimulatorError(
          `the pod ${state.name} is not ready after ${WAIT_MS} ms: ${await eventsOf(cluster)}`,
        )
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  return {
    ...ways(made),
    remove: async (name) => {
      await cluster.api('DELETE', `${path}/${name}`)
      const end = Date.now() + WAIT_MS
      for (;;) {
        const { items } = (await cluster.api('GET', path)) as { items: { metadata: { name: string } }[] }
        if (!items.some(({ metadata }) => metadata.name === name)) return
        if (Date.now() > end) throw new SimulatorError(`the pod ${name} is still there after ${WAIT_MS} ms`)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    },
  }
}

function ways(made: (pod: StaticPod) => Promise<PodState>): Omit<PodSide, 'remove'> {
  return {
    run: async (pod) => {
      const state = await made(pod)
      if (state.isReady) return state
      throw new SimulatorError(`the pod ${state.name} failed: ${state.reason}: ${state.message}`)
    },
    refused: async (pod) => {
      const { phase, reason, message } = await made(pod)
      if (phase === 'Failed') return `${reason}: ${message}`
      throw new SimulatorError(`the pod ${pod.metadata.name} runs, and must not`)
    },
  }
}

/** The namespace has its account and its limits a moment after the server is ready. */
async function retried(call: () => Promise<ApiObject>): Promise<void> {
  const end = Date.now() + 30_000
  for (;;) {
    try {
      await call()
      return
    } catch (error) {
      if (Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

async function eventsOf(cluster: Cluster): Promise<string> {
  const { items } = (await cluster.api('GET', '/api/v1/namespaces/default/events')) as {
    items: { reason: string; message: string }[]
  }
  return items.map(({ reason, message }) => `${reason}: ${message}`).join('; ')
}

/** Ends all pods of a runtime, for the time after kubelet. @throws CriError */
export async function endAllPods(runtime: Containerd): Promise<void> {
  for (const pod of await knownPods(runtime)) await endPod(runtime, pod)
}
