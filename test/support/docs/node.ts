// The node of a reader of the documents: Debian's containerd, no network yet, a wire with a client, and the programs that the
// pages call and the distribution has not. In: a lab. Out: the runtime, and the environment of the reader.
import { buildTopology, CLIENT_A, HOST, vethWire } from '../../../hack/lab/bed/topology.ts'
import { type Containerd, IMAGE, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { BIN_DIR, bridge, configFolder, hostLocal, network } from '../../../hack/lab/containerd/networks.ts'
import { endPod, knownPods } from '../../../hack/lab/containerd/pods.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { top } from '../source-tree.ts'

/** The image that pages start pods of. */
export const PAGE_IMAGE = 'docker.io/library/busybox:latest'

/** The network whose folder is /etc/cni/net.d. */
const NAME = 'net'

/** A node. */
export interface ReadersNode {
  readonly runtime: Containerd
  /** For newReader(). */
  readonly env: Readonly<Record<string, string>>
  /** The page at the node's port, for a client of the wire. */
  fromTheWire(port: number): Promise<string>
  /** Ends pods that a page that failed has left, and the runtime. */
  end(): Promise<void>
}

/** Starts all of it. */
export async function readersNode(lab: Lab): Promise<ReadersNode> {
  await buildTopology(lab, await vethWire(lab), 0)
  const runtime = await startContainerd(lab, { [NAME]: network(NAME, bridge('none', hostLocal(1))) })
  // As a distribution leaves it: plugins of others, no network, and a config that an installer reads.
  await runtime.sh(`set -e
    rm ${BIN_DIR}/vf-* ${configFolder(NAME)}/*
    ctr images tag ${IMAGE} ${PAGE_IMAGE}`)
  const cni = '[plugins."io.containerd.grpc.v1.cri".cni]'
  await lab.writeFile(
    '/etc/containerd/config.toml',
    `version = 2\n${cni}\nbin_dir = "${BIN_DIR}"\nconf_dir = "${configFolder(NAME)}"\n`,
  )
  const stand = '/run/stand-in'
  await lab.writeFile(
    `${stand}/crictl`,
    `#!/bin/sh\nexec sh ${top}hack/bun.sh ${top}hack/lab/containerd/crictl.ts "$@"\n`,
    0o755,
  )
  return {
    runtime,
    env: {
      PATH: `${stand}:${await runtime.sh('printf %s "$PATH"')}`,
      CGROUP_PARENT: runtime.cgroupParent,
      LD_LIBRARY_PATH: await runtime.sh('printf %s "$LD_LIBRARY_PATH"'),
    },
    fromTheWire: (port) =>
      lab.must(`ip netns exec ${CLIENT_A.namespace} curl -sS --fail -m 20 'http://${HOST.v4}:${port}/'`),
    end: async () => {
      for (const pod of await knownPods(runtime)) await endPod(runtime, pod)
      await runtime.end()
    },
  }
}
