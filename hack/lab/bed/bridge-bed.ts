// Pods on a Linux bridge, by the distribution's Go plugin, and vf-offload behind it. In: a Lab. Out: configs, and calls of
// each plugin alone, so that a test can compare the host before and after ours.
import type { CniResult, ConfigList, PluginConfig, Runtime } from '../cni-runtime.ts'
import type { ExecResult, Lab } from '../lab.ts'
import { attachment, listOf } from './plugins.ts'
import { linkIsReady, WAIT_UNTIL } from './topology.ts'

/** An address of each family. */
export interface Dual {
  readonly v4: string
  readonly v6: string
}

/** Addresses of the bridge `cni0` itself and of pods on it. */
export const BRIDGE: Dual = { v4: '10.88.0.1', v6: 'fd00:88::1' }
/** Pods by name. */
export const PODS = {
  'pod-one': { v4: '10.88.0.5', v6: 'fd00:88::5' },
  'pod-two': { v4: '10.88.0.6', v6: 'fd00:88::6' },
  'pod-three': { v4: '10.88.0.7', v6: 'fd00:88::7' },
} as const
/** A pod's name. */
export type PodName = keyof typeof PODS

/** TCP 8080 -> 80 and UDP 5353 -> 53. */
export const webAndDns = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
]

/** vf-offload in a list; nothing tells it about devices. */
export function chained(config: Record<string, unknown> = {}, type = 'vf-offload'): PluginConfig {
  return { type, capabilities: { portMappings: true }, ...config }
}

/** A pod on the bridge with a fixed address of each family, with our plugin behind the bridge plugin. */
export function bridgeList(pod: PodName, config: Record<string, unknown> = {}): ConfigList {
  const { v4, v6 } = PODS[pod]
  const addresses = [
    { address: `${v4}/16`, gateway: BRIDGE.v4 },
    { address: `${v6}/64`, gateway: BRIDGE.v6 },
  ]
  const ipam = { type: 'static', addresses, routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] }
  // hairpinMode: with br_netfilter, a frame back to the port that it came from needs it.
  const main = { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipam }
  return listOf(main, chained(config))
}

/** The main plugin of a list alone. */
export function mainOnly(list: ConfigList): ConfigList {
  return { ...list, plugins: list.plugins.slice(0, 1) }
}

/** `eth0` of a pod, with port mappings. */
export function podOf(pod: PodName, portMappings: unknown = webAndDns) {
  return attachment(`/run/netns/${pod}`, {
    ...{ containerID: pod, ifname: 'eth0' },
    capabilityArgs: { portMappings },
  })
}

/** Attaches a pod to the bridge, without our plugin; resolves when the host has settled. */
export async function attachToBridge(lab: Lab, runtime: Runtime, pod: PodName): Promise<CniResult> {
  const result = await runtime.add(mainOnly(bridgeList(pod)), podOf(pod))
  await linkIsReady(lab, pod, 'eth0')
  await lab.must(`until ip -br link show dev cni0 | grep -q ' UP '; do sleep 0.05; done
    while ip -6 address show tentative | grep -q inet6; do sleep 0.05; done`)
  return result
}

/** Waits until the bridge without pods has no carrier: a worker of the kernel finds that out, in its own time. */
export async function bridgeIsIdle(lab: Lab): Promise<void> {
  await lab.must(`${WAIT_UNTIL}
    is_idle() { case "$(ip -br link show dev cni0)" in *NO-CARRIER*) ;; *) return 1 ;; esac; }
    wait_until is_idle`)
}

/** One call of our plugin. */
export interface OffloadCall {
  readonly config?: Record<string, unknown>
  readonly ports?: unknown
  readonly prevResult?: CniResult
}

/** Calls vf-offload alone; never fails for an error of the plugin. */
export function tryOffload(
  runtime: Runtime,
  command: string,
  pod: PodName,
  { config = {}, ports = webAndDns, prevResult }: OffloadCall = {},
): Promise<ExecResult> {
  return runtime.call(command, bridgeList(pod), chained(config), podOf(pod, ports), { prevResult })
}

/** {@link tryOffload} that fails, with the plugin's words, when the call does. */
export async function offload(...parameters: Parameters<typeof tryOffload>): Promise<ExecResult> {
  const result = await tryOffload(...parameters)
  if (result.code !== 0) throw new Error(`${parameters[1]}: ${result.stdout}${result.stderr}`)
  return result
}

/** Adds and removes a first pod, so that everything that the first pod leaves for ever (the bridge, forwarding) is there. */
export async function warmBridge(lab: Lab, runtime: Runtime): Promise<void> {
  await lab.must('ip netns add pod-three && ip -n pod-three link set lo up')
  await attachToBridge(lab, runtime, 'pod-three')
  await runtime.del(mainOnly(bridgeList('pod-three')), podOf('pod-three'))
  await lab.must('ip netns delete pod-three')
}
