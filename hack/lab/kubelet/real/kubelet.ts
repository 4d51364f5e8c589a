// A real kubelet in a node, whose program the user brings: standalone with static pods, or with the API server of a kubeconfig. In: a Lab, a
// container runtime in it. Out: start and end, pods, and what kubelet says of them. It changes no value of the machine's kernel.
import { HOST } from '../../bed/topology.ts'
import type { Containerd } from '../../containerd/containerd.ts'
import type { Lab, LabProcess } from '../../lab.ts'
import { SimulatorError } from '../api.ts'
import { until } from './until.ts'

/** kubelet's folder; that of device plugins is a constant of kubelet. */
export const KUBELET_ROOT = '/var/lib/kubelet'
/** Folder of static pods. */
const STATIC = '/etc/kubernetes/manifests'
const CONFIG = '/etc/kubernetes/kubelet.json'
/** Port of kubelet that answers without a client's certificate. */
const READ_ONLY_PORT = 10_255
/** Values that kubelet writes unless they are there (pkg/kubelet/cm, setupKernelTunables). A node shows them to it by files of its own. */
const TUNABLES = {
  ...{ 'vm/overcommit_memory': 1, 'vm/panic_on_oom': 0, 'kernel/panic': 10, 'kernel/panic_on_oops': 1 },
  ...{ 'kernel/keys/root_maxkeys': 1_000_000, 'kernel/keys/root_maxbytes': 25_000_000 },
} as const

/** A pod as kubelet shows it. */
export interface PodState {
  readonly name: string
  readonly uid: string
  /** `Pending`, `Running`, `Succeeded`, `Failed`; undefined until kubelet has looked at it. */
  readonly phase?: string
  readonly reason?: string
  readonly message?: string
  readonly ip?: string
  readonly isReady: boolean
}

/** A real kubelet. */
export interface RealKubelet {
  /** The words of `kubelet --version`. */
  readonly version: string
  /** Starts it; resolves when it answers and has its registration socket. */
  start(): Promise<void>
  /** SIGTERM; pods go on. */
  stop(): Promise<void>
  /** Puts a pod into the folder of static pods. */
  place(pod: StaticPod): Promise<void>
  /** Takes it away; resolves when kubelet knows it no more. */
  remove(name: string): Promise<void>
  /** Pods that it knows, by the name in their manifest. */
  pods(): Promise<readonly PodState[]>
  /** Waits until a pod is as wanted; fails with what it is and the end of the log. */
  wait(name: string, wanted: (pod: PodState) => boolean, what: string): Promise<PodState>
  /** Its log, of all starts. */
  log(): string
}

/** A pod in JSON, as the API has it. */
export interface StaticPod {
  readonly metadata: { readonly name: string; readonly [key: string]: unknown }
  readonly spec: object
}

/** The name of the node: kubelet adds it to those of static pods. */
export const NODE = 'node'

/**
 * Prepares the node for the kubelet `program`, a path in it, which is not started yet. `kubeconfig`: the path of one; without it kubelet runs
 * standalone. @throws SimulatorError when the program does not run
 */
export async function realKubelet(
  lab: Lab,
  runtime: Containerd,
  program: string,
  kubeconfig?: string,
): Promise<RealKubelet> {
  const { code, stdout, stderr } = await lab.exec([program, '--version'])
  if (code !== 0) throw new SimulatorError(`"${program} --version" ended with code ${code}: ${stderr.trim()}`)
  await lab.writeFile(CONFIG, JSON.stringify(configOf(runtime, kubeconfig !== undefined)))
  await lab.must(PREPARE)
  const argv = [
    ...[program, '--config', CONFIG, '--root-dir', KUBELET_ROOT, '--cert-dir', `${KUBELET_ROOT}/pki`],
    ...['--hostname-override', NODE, '--v', '3'],
    // Without a default route kubelet finds no address, and pods that ask for the node's do not start.
    ...(kubeconfig === undefined ? [] : ['--kubeconfig', kubeconfig, '--node-ip', HOST.v4]),
  ]
  const past: string[] = []
  let process: LabProcess | undefined
  const log = () => [...past, process?.stderr() ?? ''].join('')
  const pods = async () => podsOf(await lab.must(`curl -sS -m 60 http://127.0.0.1:${READ_ONLY_PORT}/pods`))
  const find = async (name: string) =>
    (await pods()).find((pod) => pod.name === `${name}-${NODE}` || pod.name === name)
  const start = async () => {
    const before = (await lab.must(SOCKET)).trim()
    process = await lab.spawn(argv, { timeoutMs: 0, env: { PATH: await pathOf(runtime) } })
    const running = process
    const ended = running.wait().then(({ code }): never => {
      throw new SimulatorError(`kubelet ended with code ${code}: ${lastLines(log())}`)
    })
    ended.catch(() => undefined)
    const serving = until(
      async () =>
        (await lab.exec(['sh', '-c', SERVES], { env: { BEFORE: before } })).code === 0 ? true : undefined,
      () => `kubelet serves\n${lastLines(log())}`,
    )
    await Promise.race([ended, serving])
  }
  const stop = async () => {
    const running = process
    if (running === undefined) return
    running.kill('SIGTERM')
    await running.wait()
    past.push(running.stderr())
    process = undefined
  }
  return {
    ...{ version: stdout.trim(), start, stop, pods, log },
    place: (pod) =>
      lab.writeFile(
        `${STATIC}/${pod.metadata.name}.json`,
        JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod }),
      ),
    remove: async (name) => {
      await lab.must(`rm -f ${STATIC}/${name}.json`)
      await until(
        async () => ((await find(name)) === undefined ? true : undefined),
        async () => `the pod ${name} is gone: ${JSON.stringify(await find(name))}\n${lastLines(log())}`,
      )
    },
    wait: (name, wanted, what) =>
      until(
        async () => {
          const pod = await find(name)
          return pod !== undefined && wanted(pod) ? pod : undefined
        },
        async () => `the pod ${name} is ${what}: ${JSON.stringify(await find(name))}\n${lastLines(log())}`,
      ),
  }
}

/** The end of a log, for an error. */
export function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-15).join('\n')
}

async function pathOf(runtime: Containerd): Promise<string> {
  return (await runtime.sh('printf %s "$PATH"')).trim()
}

function configOf({ cgroupParent }: Containerd, hasServer: boolean): object {
  return {
    ...{ apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration' },
    ...(hasServer ? {} : { staticPodPath: STATIC, fileCheckFrequency: '1s' }),
    // A server asks at the node's address, for logs and commands.
    ...{ address: hasServer ? '0.0.0.0' : '127.0.0.1', readOnlyPort: READ_ONLY_PORT, healthzPort: 10_248 },
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    // All containers are in one group, which the end of the runtime removes.
    ...{
      cgroupDriver: 'cgroupfs',
      cgroupRoot: cgroupParent,
      cgroupsPerQOS: false,
      enforceNodeAllocatable: [],
    },
    ...{ failCgroupV1: false, failSwapOn: false, localStorageCapacityIsolation: false },
    // A full disk of the machine is no affair of the node.
    evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'imagefs.available': '0%' },
    ...{ imageGCHighThresholdPercent: 100, imageGCLowThresholdPercent: 99, makeIPTablesUtilChains: false },
    ...{ nodeStatusUpdateFrequency: '1s', syncFrequency: '5s', resolvConf: '' },
    ...{ volumePluginDir: `${KUBELET_ROOT}/volumes`, volumeStatsAggPeriod: '0s' },
  }
}

const PREPARE = `set -e
mkdir -p ${STATIC} ${KUBELET_ROOT} /run/tunables
${Object.entries(TUNABLES)
  .map(
    ([name, value]) => `
if [ "$(cat /proc/sys/${name})" != ${value} ]; then
  echo ${value} >/run/tunables/${name.replaceAll('/', '.')}
  mount --bind /run/tunables/${name.replaceAll('/', '.')} /proc/sys/${name}
fi`,
  )
  .join('')}`

/** The socket for registrations: its inode and the time of its making, as a word. */
const SOCKET = `stat -c %i.%Z ${KUBELET_ROOT}/device-plugins/kubelet.sock 2>/dev/null || true`

// The socket of the kubelet before is still there when this one starts.
const SERVES = `
[ -S ${KUBELET_ROOT}/pod-resources/kubelet.sock ] && curl -sSf -m 20 http://127.0.0.1:10248/healthz || exit
socket=$(${SOCKET})
[ -n "$socket" ] && [ "$socket" != "$BEFORE" ]`

/** A pod of the API, as far as a run asks. */
export interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string }
  readonly status: {
    readonly phase?: string
    readonly reason?: string
    readonly message?: string
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

/** The state of a pod of the API. */
export function stateOf({ metadata: { name, uid }, status }: PodObject): PodState {
  const { phase, reason, message, podIP: ip, conditions = [] } = status
  const known = Object.entries({ phase, reason, message, ip }).filter(([, value]) => value !== undefined)
  const isReady = conditions.some((one) => one.type === 'Ready' && one.status === 'True')
  return { name, uid, ...Object.fromEntries(known), isReady }
}

function podsOf(text: string): readonly PodState[] {
  const { items } = JSON.parse(text) as { items: readonly PodObject[] | null }
  return (items ?? []).map(stateOf)
}
