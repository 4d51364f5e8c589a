// A cluster of one node, as a user has one before vf-flower: API server, controllers, scheduler, kubelet, Multus, a container runtime with
// images, a wire with clients, a card. Neither plugins of ours nor an agent are there. In: a Lab, programs. Out: the parts, and their end.
import { buildTopology, loadIgb, vethWire } from '../../bed/topology.ts'
import { type Containerd, startContainerd } from '../../containerd/containerd.ts'
import { BIN_DIR, configFolder } from '../../containerd/networks.ts'
import type { Lab } from '../../lab.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { startControllers } from './controllers.ts'
import { importImages } from './images.ts'
import { type Kubectl, kubectlIn, makeKind } from './kubectl.ts'
import { type RealKubelet, realKubelet } from './kubelet.ts'
import { BIN, KIND, multusNetwork } from './multus.ts'
import { type PluginCard, VFS } from './node-plugin.ts'
import { endAllPods } from './pods.ts'
import { type Programs, ProgramsError } from './programs.ts'
import { PODS } from './stage.ts'

/** The PF that the manifests name. */
export const PF = 'ens1f0'

/** The parts. */
export interface Whole {
  readonly lab: Lab
  readonly runtime: Containerd
  readonly cluster: Cluster
  readonly kubelet: RealKubelet
  readonly kubectl: Kubectl
  /** A card of files; undefined: that of the virtual machine, whose PF is {@link PF}. */
  readonly files?: PluginCard
  end(): Promise<void>
}

/** All programs of a cluster. @throws ProgramsError unless the user has brought them */
export function programsOfWhole(programs: Programs): Required<Omit<Programs, 'etcd' | 'thick'>> & Programs {
  const { apiserver, multus, controllerManager, scheduler } = programs
  if (
    apiserver === undefined ||
    multus === undefined ||
    controllerManager === undefined ||
    scheduler === undefined
  )
    throw new ProgramsError(
      'Cannot make a cluster without KUBE-APISERVER, --multus, --controller-manager, --scheduler.',
    )
  return { ...programs, apiserver, multus, controllerManager, scheduler }
}

/** Builds and starts all. `files` is the card of a node without one. */
export async function openWhole(lab: Lab, all: Programs, files?: PluginCard): Promise<Whole> {
  const programs = programsOfWhole(all)
  const ends: (() => Promise<unknown>)[] = []
  const end = async () => {
    for (const one of ends.splice(0).reverse()) await one()
  }
  try {
    await buildWire(lab, files)
    // As systemd leaves them: a container that sees mounts of the node needs them shared. The node's namespace has no peers.
    await lab.must('mount --make-rshared / && echo 1 >/proc/sys/net/ipv4/ip_forward')
    const cluster = await startCluster(lab, programs.apiserver, { ...programs, isStrict: true })
    ends.push(() => cluster.end())
    const runtime = await startContainerd(lab, { pods: multusNetwork(PODS, cluster.kubeconfig('admin')) })
    ends.push(
      () => runtime.end(),
      () => endAllPods(runtime),
    )
    await lab.must(`set -e
      rm ${BIN_DIR}/vf-attach ${BIN_DIR}/vf-offload
      ln -s '${programs.multus}' ${BIN}
      mkdir -p /etc/containerd
      cat >/etc/containerd/config.toml <<'END'
${configOfRuntime()}
END`)
    await importImages(lab, runtime)
    const kubectl = kubectlIn(lab, cluster)
    await makeKind(kubectl, KIND)
    const controllers = await startControllers(lab, cluster, programs)
    ends.push(() => controllers.end())
    const kubelet = await realKubelet(lab, runtime, programs.kubelet, cluster.kubeconfig('node'))
    ends.push(() => kubelet.stop())
    await kubelet.start()
    await kubectl.must(['wait', '--for=condition=Ready', '--timeout=600s', 'node/node'])
    return { lab, runtime, cluster, kubelet, kubectl, end, ...(files === undefined ? {} : { files }) }
  } catch (error) {
    await end()
    throw error
  }
}

async function buildWire(lab: Lab, files: PluginCard | undefined): Promise<void> {
  if (files !== undefined) {
    await buildTopology(lab, await vethWire(lab), 0)
    return
  }
  const { pf, wire } = await loadIgb(lab)
  await lab.must(`ip link set ${pf} down && ip link set ${pf} name ${PF}`)
  await buildTopology(lab, { pf: PF, wire }, VFS)
}

/** The part that the installer reads of the runtime's config: the folders of the default network. */
function configOfRuntime(): string {
  return `version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${BIN_DIR}"
  conf_dir = "${configFolder('pods')}"`
}
