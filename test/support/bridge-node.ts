// A node whose pods are on a bridge, with two clients on a wire. In: nothing. Out: what a test file needs of it, and its end.

import { warmBridge } from '../../hack/lab/bed/bridge-bed.ts'
import { testRuntime } from '../../hack/lab/bed/plugins.ts'
import { buildTopology, type Topology, tearDown, vethWire } from '../../hack/lab/bed/topology.ts'
import type { Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { lab as sharedLab } from './lab.ts'

/** The node of a test file. */
export interface BridgeNode {
  readonly lab: Lab
  readonly runtime: Runtime
  readonly topology: Topology
  /** Takes the bridge and the wire away. Pods are gone by then. */
  end(): Promise<void>
}

/** Makes the node: nothing of a bridge is left to be made by the first pod. */
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
