// Pods that a container runtime makes, each with a web server that answers a word of its own. In: a runtime, wishes. Out: pods.
import { randomUUID } from 'node:crypto'
import { WAIT_UNTIL } from '../bed/topology.ts'
import { type Containerd, IMAGE } from './containerd.ts'
import type { CriPort, KnownPod, PodSandboxConfig } from './cri.ts'

/** The part of a container runtime that makes pods. */
export type PodMaker = Pick<Containerd, 'cri' | 'cgroupParent' | 'sh'>

/** A pod that a test wants. */
export interface PodWish {
  readonly name: string
  /** A name among the networks of the runtime; empty: the one that it takes by itself. */
  readonly network: string
  readonly ports?: readonly CriPort[]
  /** `kubernetes.io/ingress-bandwidth` and such. */
  readonly annotations?: Readonly<Record<string, string>>
}

/** A pod that runs. */
export interface RunningPod {
  readonly id: string
  readonly name: string
  /** Path of its network namespace. */
  readonly netns: string
  /** Its first address. */
  readonly ip: string
  /** The answer of its server at port 80, without the end of the line. */
  readonly word: string
}

/** Makes the sandbox of a pod, which gives it its network. Returns its ID. @throws CriError with the runtime's words */
export async function runSandbox(runtime: PodMaker, wish: PodWish): Promise<string> {
  return (await sandbox(runtime, wish)).id
}

/** Makes a pod and starts its server; resolves when the server listens. @throws CriError with the runtime's words */
export async function runPod(runtime: PodMaker, wish: PodWish): Promise<RunningPod> {
  const { id, config } = await sandbox(runtime, wish)
  const word = `the word of ${wish.name}`
  const command = ['sh', '-c', `echo '${word}' >/www/index.html; exec httpd -f -p 80 -h /www`]
  const { container_id } = await runtime.cri.call('CreateContainer', {
    ...{ pod_sandbox_id: id, sandbox_config: config },
    config: {
      ...{ metadata: { name: 'web' }, image: { image: IMAGE }, command },
      ...{ log_path: 'web.log', linux: {} },
    },
  })
  await runtime.cri.call('StartContainer', { container_id })
  const status = await runtime.cri.call('PodSandboxStatus', { pod_sandbox_id: id, verbose: true })
  const netns = netnsOf(status)
  await runtime.sh(`${WAIT_UNTIL}
    listens() { nsenter --net='${netns}' ss -Hltn 'sport = 80' | grep -q .; }
    wait_until listens`)
  return { id, name: wish.name, netns, ip: addressOf(status), word }
}

/** Ends a pod as kubelet does: first stops it, then removes it; each is a DEL. @throws CriError */
export async function endPod(runtime: PodMaker, pod: { readonly id: string }): Promise<void> {
  await runtime.cri.call('StopPodSandbox', { pod_sandbox_id: pod.id })
  await runtime.cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id })
}

/** All pods that the runtime knows. */
export async function knownPods(runtime: PodMaker): Promise<readonly KnownPod[]> {
  return (await runtime.cri.call('ListPodSandbox')).items as KnownPod[]
}

async function sandbox(
  runtime: PodMaker,
  { name, network, ports = [], annotations = {} }: PodWish,
): Promise<{ id: string; config: PodSandboxConfig }> {
  const config: PodSandboxConfig = {
    metadata: { name, uid: randomUUID(), namespace: 'default' },
    ...{ hostname: name, log_directory: `/run/pods/${name}`, port_mappings: ports, annotations },
    linux: { cgroup_parent: runtime.cgroupParent },
  }
  const { pod_sandbox_id } = await runtime.cri.call('RunPodSandbox', { config, runtime_handler: network })
  return { id: String(pod_sandbox_id), config }
}

function netnsOf(answer: Record<string, unknown>): string {
  const { info = '{}' } = answer.info as { info?: string }
  const { runtimeSpec } = JSON.parse(info) as {
    runtimeSpec: { linux: { namespaces: { type: string; path?: string }[] } }
  }
  const { path } = runtimeSpec.linux.namespaces.find(({ type }) => type === 'network') ?? {}
  if (path === undefined) throw new Error(`The runtime names no network namespace: ${info}`)
  return path
}

function addressOf(answer: Record<string, unknown>): string {
  return (answer.status as { network: { ip: string } }).network.ip
}
