// A node with pods on a bridge and two clients on a wire. In: nothing. Out: the node of a test file, and its end.
import type { Runtime } from '../../hack/lab/cni-runtime.ts'
import type { Lab } from '../../hack/lab/lab.ts'
import { warmBridge } from './bridge-bed.ts'
import { lab as sharedLab } from './lab.ts'
import { testRuntime } from './plugins.ts'
import { buildTopology, type Topology, tearDown, vethWire } from './topology.ts'

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
