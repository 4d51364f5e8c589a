// Pods of a real kubelet, by files or by an API server. In: a kubelet or a server. Out: pods that run, the words against those that do not, and
// the end of what kubelet has left to the runtime.
import type { Containerd } from '../../containerd/containerd.ts'
import { endPod, knownPods } from '../../containerd/pods.ts'
import { SimulatorError } from '../api.ts'
import type { ApiObject, Cluster } from './cluster.ts'
import { type PodObject, type PodState, type RealKubelet, type StaticPod, stateOf } from './kubelet.ts'
import { until } from './until.ts'

/** One way to make pods. */
export interface PodSide {
  /** Makes a pod and does not wait. */
  place(pod: StaticPod): Promise<void>
  /** Makes a pod and waits until it is ready. @throws SimulatorError with its reason when it fails */
  run(pod: StaticPod): Promise<PodState>
  /** Makes a pod that must fail; returns kubelet's words. */
  refused(pod: StaticPod): Promise<string>
  /** Deletes a pod; resolves when it is gone. */
  remove(name: string): Promise<void>
}

const isOver = (pod: PodState) => pod.isReady || pod.phase === 'Failed'

/** Static pods. */
export function podsByFiles(kubelet: RealKubelet): PodSide {
  const place = (pod: StaticPod) => kubelet.place(pod)
  const made = async (pod: StaticPod) => {
    await place(pod)
    return kubelet.wait(pod.metadata.name, isOver, 'ready')
  }
  return { ...ways(made), place, remove: (name) => kubelet.remove(name) }
}

/** Pods of the server's namespace `default`. */
export function podsByServer(cluster: Cluster): PodSide {
  const path = '/api/v1/namespaces/default/pods'
  const look = async (name: string) =>
    stateOf((await cluster.api('GET', `${path}/${name}`)) as unknown as PodObject)
  const place = (pod: StaticPod) =>
    retried(() => cluster.api('POST', path, { apiVersion: 'v1', kind: 'Pod', ...pod }))
  const made = async (pod: StaticPod) => {
    await place(pod)
    return until(
      async () => {
        const state = await look(pod.metadata.name)
        return isOver(state) ? state : undefined
      },
      async () => `the pod ${pod.metadata.name} is ready: ${await eventsOf(cluster)}`,
    )
  }
  return {
    ...{ ...ways(made), place },
    remove: async (name) => {
      await cluster.api('DELETE', `${path}/${name}`)
      await until(
        async () => {
          const { items } = (await cluster.api('GET', path)) as { items: { metadata: { name: string } }[] }
          return items.some(({ metadata }) => metadata.name === name) ? undefined : true
        },
        () => `the pod ${name} is gone`,
      )
    },
  }
}

function ways(made: (pod: StaticPod) => Promise<PodState>): Omit<PodSide, 'remove' | 'place'> {
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
  let reason = ''
  await until(
    () =>
      call().catch((error: Error) => {
        reason = error.message
        return undefined
      }),
    () => `the server takes the pod: ${reason}`,
  )
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
