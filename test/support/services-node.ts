/**
 * A node for tests of ports that other programs translate: two pods on a bridge, the second one being the backend of everybody else's
 * rules, and a client on a wire. In: nothing. Out: the functions of the tests; {@link useServicesNode} sets the hooks.
 */
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { attachToBridge, bridgeList, offload, podOf, tryOffload } from '../../hack/lab/bed/bridge-bed.ts'
import { CLIENT_A, deletePod, HOST, newPod } from '../../hack/lab/bed/topology.ts'
import { type Server, serve, tryAsk } from '../../hack/lab/bed/traffic.ts'
import type { CniResult, Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { type BridgeNode, bridgeNode } from './bridge-node.ts'
import { makersBy } from './services-bed.ts'

export const POLICY = '/etc/vf-flower/policy.json'
const names = ['pod-one', 'pod-two'] as const
export let lab: Lab
export let runtime: Runtime
let node: BridgeNode | undefined
/** The answer of the bridge plugin for the first pod. */
export let prevResult: CniResult
let backend: Server

/** Removes everybody's rules; iptables-legacy keeps its table, empty. */
export const forget = `nft flush ruleset; rm -f ${POLICY}
  for tables in iptables ip6tables; do $tables-legacy -t nat -F 2>/dev/null; $tables-legacy -t nat -X 2>/dev/null; done; true`
/** Gives rules to a program on its stdin. */
export const load = async (program: string, text: string) => {
  await lab.writeFile('/run/rules', text, 0o600)
  await lab.must(`${program} </run/rules && rm /run/rules`)
}
export const makers = makersBy(load)
/** The host port of a call, with further keys. */
export const port = (hostPort: number, more: Record<string, unknown> = {}) => ({
  ports: [{ hostPort, containerPort: 80, ...more }],
  prevResult,
})
export const add = (call: ReturnType<typeof port> & { config?: Record<string, unknown> }) =>
  tryOffload(runtime, 'ADD', 'pod-one', call)
/** The name of the server that answers a client on the wire at this port of the node; 'nobody' without an answer. */
export const answering = async (hostPort: number): Promise<string> => {
  const [answer] = await tryAsk(lab, CLIENT_A.namespace, [
    { protocol: 'http', address: HOST.v4, port: hostPort, timeoutMs: 3_000 },
  ])
  return answer?.ok === true ? answer.server : 'nobody'
}

/** Makes the node before the tests of a file, removes everybody's rules between tests, and ends everything after the last test. */
export function useServicesNode(): void {
  beforeAll(async () => {
    node = await bridgeNode()
    lab = node.lab
    runtime = node.runtime
    for (const pod of names) await newPod(lab, pod)
    prevResult = await attachToBridge(lab, runtime, 'pod-one')
    // The backend of the service.
    await attachToBridge(lab, runtime, 'pod-two')
    backend = await serve(lab, 'pod-two', [{ name: 'service', protocol: 'http', port: 8080 }])
  })
  afterAll(async () => {
    await backend?.stop()
    for (const pod of names) {
      await runtime.del(bridgeList(pod), podOf(pod))
      await deletePod(lab, pod)
    }
    await node?.end()
  })
  beforeEach(async () => {
    await lab.must(forget)
  })
  afterEach(async () => {
    await offload(runtime, 'DEL', 'pod-one', { prevResult })
    await lab.must(forget)
  })
}
