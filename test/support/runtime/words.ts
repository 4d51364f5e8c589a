// Words of an image's entry point, run by a container runtime as kubelet asks for them: a pod in the node's network with one container, whose
// output is read from its log. In: a runtime, an image, words. Out: codes and texts.
import { randomUUID } from 'node:crypto'
import type { Containerd } from '../../../hack/lab/containerd/containerd.ts'

/** A container that was started, and its pod. */
export interface StartedWord {
  readonly pod: string
  readonly container: string
  readonly log: string
}

/** The end of a container. */
export interface EndedWord {
  readonly code: number
  /** Both outputs, as they came. */
  readonly text: string
}

/** A pod's wishes. */
export interface WordWish {
  /** Privileged, with the processes of the node: `privileged: true` and `hostPID: true`. */
  readonly privileged?: boolean
  readonly mounts?: readonly { readonly container_path: string; readonly host_path: string }[]
}

/** The state of a container that has ended. */
const EXITED = 2
/** A namespace that is the node's. */
const NODE = 2

/** Starts a container of `image` that gets `words`, on a read-only root. @throws CriError with the runtime's words */
export async function startWord(
  runtime: Containerd,
  image: string,
  words: readonly string[],
  { privileged = false, mounts = [] }: WordWish = {},
): Promise<StartedWord> {
  const folder = `/run/words/${randomUUID()}`
  const namespace_options = { network: NODE, pid: privileged ? NODE : 1, ipc: 0 }
  const security_context = { namespace_options, privileged }
  const sandbox_config = {
    metadata: { name: 'word', uid: randomUUID(), namespace: 'vf-flower' },
    ...{ log_directory: folder, annotations: {}, port_mappings: [] },
    linux: { cgroup_parent: runtime.cgroupParent, security_context },
  }
  const made = await runtime.cri.call('RunPodSandbox', { config: sandbox_config })
  const pod = String(made.pod_sandbox_id)
  const { container_id } = await runtime.cri.call('CreateContainer', {
    ...{ pod_sandbox_id: pod, sandbox_config },
    config: {
      ...{ metadata: { name: 'word' }, image: { image }, args: words, mounts, log_path: 'log' },
      linux: { security_context: { ...security_context, readonly_rootfs: true } },
    },
  })
  await runtime.cri.call('StartContainer', { container_id })
  return { pod, container: String(container_id), log: `${folder}/log` }
}

/** Waits for the end of a container, and removes its pod. */
export async function wordEnded(runtime: Containerd, word: StartedWord): Promise<EndedWord> {
  for (;;) {
    const { status } = await runtime.cri.call('ContainerStatus', { container_id: word.container })
    const { state, exit_code } = status as { state: number; exit_code: number }
    if (state === EXITED) return { code: exit_code, text: await removed(runtime, word) }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Ends a container by SIGTERM, as the end of a pod does, and removes its pod. */
export async function stopWord(runtime: Containerd, word: StartedWord): Promise<EndedWord> {
  await runtime.cri.call('StopContainer', { container_id: word.container, timeout: 60 })
  return wordEnded(runtime, word)
}

/** Removes the pod; returns what its container has said. The runtime writes a line as `TIME stdout F TEXT`. */
async function removed(runtime: Containerd, { pod, log }: StartedWord): Promise<string> {
  await runtime.cri.call('StopPodSandbox', { pod_sandbox_id: pod })
  const lines = await runtime.sh(`cat ${log}`)
  await runtime.cri.call('RemovePodSandbox', { pod_sandbox_id: pod })
  return lines.replace(/^\S+ (?:stdout|stderr) [FP] /gm, '')
}
