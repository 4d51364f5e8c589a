// A node with all that a pod of a real kubelet needs: a wire with clients, a container runtime with our plugins, a card, and for a run with
// an API server the server and Multus. In: a Lab, programs. Out: the parts, and their end.
import { buildTopology, loadIgb, vethWire } from '../../bed/topology.ts'
import type { ConfigList } from '../../cni-runtime.ts'
import { type Containerd, startContainerd } from '../../containerd/containerd.ts'
import { bridge, hostLocal, network, offload } from '../../containerd/networks.ts'
import type { Lab, LabProcess } from '../../lab.ts'
import type { PodResources } from '../ask.ts'
import { recorderIn } from '../remote.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { KUBELET_ROOT, type RealKubelet, realKubelet } from './kubelet.ts'
import { BIN, multusNetwork } from './multus.ts'
import { type PluginCard, startPlugin, stopPlugin, VFS } from './node-plugin.ts'
import { endAllPods } from './pods.ts'
import type { Programs } from './programs.ts'
import { startThick, type Thick } from './thick.ts'

/** The parts of a run. */
export interface Stage {
  readonly lab: Lab
  readonly runtime: Containerd
  readonly kubelet: RealKubelet
  readonly cluster?: Cluster
  readonly card: PluginCard
  /** Multus as a daemon. */
  readonly thick?: Thick
  /** Asks podresources. */
  resources(): Promise<PodResources>
  /** Starts a device plugin; the end of the stage stops it. */
  plugin(...words: readonly string[]): Promise<LabProcess>
  /** Stops a device plugin. @throws SimulatorError unless it ends with code 0 */
  stopPlugin(plugin: LabProcess): Promise<void>
  end(): Promise<void>
}

/** The network of pods. */
export const PODS: ConfigList = network('pods', bridge('cni0', hostLocal(1)), offload)

/** Builds all, and starts all but the device plugin. `files` is the card of a node without one. */
export async function openStage(lab: Lab, programs: Programs, files?: PluginCard): Promise<Stage> {
  const ends: (() => Promise<unknown>)[] = []
  const end = async () => {
    for (const one of ends.splice(0).reverse()) await one()
  }
  try {
    const topology =
      files === undefined
        ? await buildTopology(lab, await loadIgb(lab), VFS)
        : await buildTopology(lab, await vethWire(lab), 0)
    // As systemd leaves them: a container that sees mounts of the node needs them shared. The node's namespace has no peers.
    await lab.must('mount --make-rshared / && echo 1 >/proc/sys/net/ipv4/ip_forward')
    const card = files ?? {
      pf: topology.pf,
      vfs: topology.vfs.map(({ pci }) => pci),
      flags: [],
      remove: () => {},
    }
    const cluster =
      programs.apiserver === undefined ? undefined : await startCluster(lab, programs.apiserver, programs)
    if (cluster !== undefined) ends.push(() => cluster.end())
    const list =
      programs.multus === undefined ? PODS : multusNetwork(PODS, cluster?.kubeconfig('admin') ?? '')
    const runtime = await startContainerd(lab, { pods: list })
    ends.push(
      () => runtime.end(),
      () => endAllPods(runtime),
    )
    if (programs.multus !== undefined) await lab.must(`ln -s '${programs.multus}' ${BIN}`)
    const kubelet = await realKubelet(lab, runtime, programs.kubelet, cluster?.kubeconfig('admin'))
    ends.push(() => kubelet.stop())
    await kubelet.start()
    const thick =
      programs.thick === undefined || cluster === undefined
        ? undefined
        : await startThick(lab, runtime, cluster, programs.thick, PODS)
    const asker = await recorderIn(lab)
    ends.push(() => asker.end())
    const running = new Set<LabProcess>()
    const stop = async (plugin: LabProcess) => {
      running.delete(plugin)
      await stopPlugin(plugin)
    }
    ends.push(async () => {
      for (const plugin of running) await stop(plugin)
    })
    return {
      ...{
        lab,
        runtime,
        kubelet,
        card,
        end,
        stopPlugin: stop,
        ...(cluster === undefined ? {} : { cluster }),
        ...(thick === undefined ? {} : { thick }),
      },
      resources: () => asker.calls.resources(KUBELET_ROOT),
      plugin: async (...words) => {
        const plugin = await startPlugin(lab, card, words)
        running.add(plugin)
        return plugin
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}
