// An address that the node has no more belongs to whoever has it now: neither the node nor a pod that is routed through it is
// led to the pod that was mapped there, and CHECK names the address.
// needs: veth, bridge, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeList,
  offload,
  PODS,
  type PodName,
  podOf,
  tryOffload,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf } from '../../../hack/lab/bed/plugins.ts'
import { CLIENT_A, deletePod, HOST, newPod, type Topology } from '../../../hack/lab/bed/topology.ts'
import { type Namespace, type Server, serve, tryAsk } from '../../../hack/lab/bed/traffic.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type BridgeNode, bridgeNode } from '../../support/bridge-node.ts'

const [served, neighbour] = ['pod-one', 'pod-two'] as const satisfies PodName[]
const moving = { v4: '10.1.0.77', v6: 'fd00:1::77' }
let lab: Lab
let runtime: Runtime
let node: BridgeNode | undefined
let topology: Topology
let prevResult: CniResult
const servers: Server[] = []

beforeAll(async () => {
  node = await bridgeNode()
  lab = node.lab
  runtime = node.runtime
  topology = node.topology
  for (const pod of [served, neighbour]) await newPod(lab, pod)
  prevResult = await attachToBridge(lab, runtime, served)
  await attachToBridge(lab, runtime, neighbour)
  servers.push(await serve(lab, served, [{ name: 'pod', protocol: 'http', port: 80 }]))
})
afterAll(async () => {
  for (const server of servers) await server.stop()
  for (const pod of [served, neighbour]) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
  await node?.end()
})

const answering = async (from: Namespace, address: string): Promise<string> => {
  const question = { protocol: 'http', address, port: 8080, timeoutMs: 3_000 } as const
  const [answer] = await tryAsk(lab, from, [question])
  return answer?.ok === true ? answer.server : (answer?.error ?? 'nothing')
}

test.each([
  ['v4', 24],
  ['v6', 64],
] as const)(
  '%s: it is served while the node has it, and by the other machine afterwards',
  async (family, prefix) => {
    const address = moving[family]
    await lab.must(`ip address add ${address}/${prefix} dev ${topology.pf} nodad`)
    const ports = [{ hostPort: 8080, containerPort: 80, hostIP: address }]
    const others = [{ hostPort: 8081, containerPort: 80 }]
    await offload(runtime, 'ADD', served, { ports: [...ports, ...others], prevResult })
    for (const from of [CLIENT_A.namespace, null, neighbour])
      expect(await answering(from, address)).toBe('pod')

    await lab.must(`set -e
    ip address del ${address}/${prefix} dev ${topology.pf}
    ip -n ${CLIENT_A.namespace} address add ${address}/${prefix} dev eth0 nodad
    ip -n ${CLIENT_A.namespace} route replace ${PODS[neighbour][family]} via ${HOST[family]}
    ip neigh flush all`)
    const machine = await serve(lab, CLIENT_A.namespace, [
      { name: 'machine', protocol: 'http', port: 8080, address },
    ])
    try {
      for (const from of [null, neighbour]) expect(await answering(from, address)).toBe('machine')
    } finally {
      await machine.stop()
      await lab.must(`ip -n ${CLIENT_A.namespace} address del ${address}/${prefix} dev eth0`)
    }
    const all = { ports: [...ports, ...others], prevResult }
    expect(errorOf(await tryOffload(runtime, 'CHECK', served, all))).toMatchObject({
      code: 104,
      msg: expect.stringContaining(`the node does not have address ${address} any more`),
    })
    await offload(runtime, 'DEL', served, { prevResult })
  },
)
