// A node whose pods are on a bridge, with two clients on a wire, and fresh pods on it for each test.
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'

import { bridgeList, type PodName, podOf, warmBridge } from '../../hack/lab/bed/bridge-bed.ts'
import { testRuntime } from '../../hack/lab/bed/plugins.ts'
import {
  buildTopology,
  deletePod,
  newPod,
  type Topology,
  tearDown,
  vethWire,
} from '../../hack/lab/bed/topology.ts'
import type { Server } from '../../hack/lab/bed/traffic.ts'
import type { Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from './lab.ts'

/** The node of a test file. */
export interface BridgeNode {
  readonly lab: Lab
  readonly runtime: Runtime
  readonly topology: Topology
  /** Removes the bridge and the wire, once the pods are gone. */
  end(): Promise<void>
}

/** Makes the node, with the bridge complete: the first pod of a test makes no part of it. */
export async function bridgeNode(): Promise<BridgeNode> {
  const lab = await sharedLab()
  const runtime = testRuntime(lab)
  const topology = await buildTopology(lab, await vethWire(lab), 0)
  await warmBridge(lab, runtime)
  const end = async () => {
    await tearDown(lab, topology)
    await lab.must('ip link del cni0; ip link del up0')
  }
  return { lab, runtime, topology, end }
}

/** Has `made` take the node before the tests of a file, and ends it behind them. */
export function useBridgeNode(made: (node: BridgeNode) => void | Promise<void>): void {
  let node: BridgeNode | undefined
  beforeAll(async () => {
    node = await bridgeNode()
    await made(node)
  })
  afterAll(async () => {
    await node?.end()
  })
}

/** Makes the pods anew for each test. Behind it stops `servers`, empties them, and takes the pods away, attached or not. */
export function useFreshPods(node: () => BridgeNode, pods: readonly PodName[], servers: Server[] = []): void {
  beforeEach(async () => {
    for (const pod of pods) await newPod(node().lab, pod)
  })
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop()
    for (const pod of pods) {
      await node().runtime.del(bridgeList(pod), podOf(pod))
      await deletePod(node().lab, pod)
    }
  })
}
