// A real kubelet, whose program VF_KUBELET names, passes the tests of the kubelet simulator: standalone, with static pods of containerd.
// needs: veth, bridge, clsact, nft, cgroup
// packages: containerd, runc, libseccomp2
// only: VF_KUBELET
import { afterAll, beforeAll } from 'vitest'
import { type Containerd, IMAGE, startContainerd } from '../../../hack/lab/containerd/containerd.ts'
import { bridge, hostLocal, network } from '../../../hack/lab/containerd/networks.ts'
import type { ContainerWish } from '../../../hack/lab/kubelet/api.ts'
import { KUBELET_ROOT, NODE, type RealKubelet, realKubelet } from '../../../hack/lab/kubelet/real/kubelet.ts'
import { endAllPods } from '../../../hack/lab/kubelet/real/pods.ts'
import { recorderIn } from '../../../hack/lab/kubelet/remote.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type ContractPod, kubeletContract } from '../../support/kubelet/contract.ts'
import { lab as sharedLab } from '../../support/lab.ts'

let lab: Lab
let runtime: Containerd
let kubelet: RealKubelet
const plugins: (() => Promise<void>)[] = []

beforeAll(async () => {
  lab = await sharedLab()
  runtime = await startContainerd(lab, { bridge: network('bridge', bridge('cni0', hostLocal(1))) })
  kubelet = await realKubelet(lab, runtime, process.env.VF_KUBELET ?? '')
  console.log(kubelet.version)
  await kubelet.start()
}, 240_000)
afterAll(async () => {
  for (const end of plugins) await end()
  await kubelet?.stop()
  if (runtime !== undefined) await endAllPods(runtime)
  await runtime?.end()
}, 120_000)

kubeletContract(() => ({
  ...{ root: KUBELET_ROOT, suffix: `-${NODE}/` },
  plugin: async () => {
    const { calls, end } = await recorderIn(lab)
    plugins.push(end)
    return calls
  },
  restart: async () => {
    await kubelet.stop()
    await kubelet.start()
  },
  run,
  end: (name) => kubelet.remove(name),
  file: async (name) => {
    const { code, stdout } = await lab.exec(['cat', `${KUBELET_ROOT}/${name}`])
    return code === 0 ? stdout : undefined
  },
  removeSockets: async (folder) =>
    void (await lab.must(
      `find ${KUBELET_ROOT}/${folder} -maxdepth 1 -type s ! -name kubelet.sock -exec rm {} +`,
    )),
}))

async function run({ name, containers }: ContractPod): Promise<void> {
  const of = (isInit: boolean) => containers.filter((one) => (one.isInit ?? false) === isInit).map(container)
  await kubelet.place({
    metadata: { name },
    spec: { initContainers: of(true), containers: of(false), terminationGracePeriodSeconds: 0 },
  })
  const state = await kubelet.wait(name, (pod) => pod.isReady || pod.phase === 'Failed', 'ready')
  if (!state.isReady) throw new Error(`${state.reason}: ${state.message}`)
}

function container({ name, wants, isInit = false }: ContainerWish): object {
  return {
    ...{ name, image: IMAGE, imagePullPolicy: 'Never', resources: { limits: wants } },
    command: isInit ? ['hostname'] : ['sleep', '2147483647'],
  }
}
