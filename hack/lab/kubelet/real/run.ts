// A pod from end to end with a real kubelet: the device plugin registers, a pod asks for its resource, our plugins give the pod its network, and
// the wire reaches its host port; then restarts and an upgrade of the device plugin, and the end of it all. Each step fails unless it came as
// it must. In: a stage. Out: lines for people, by `say`.
import { CLIENT_A, CLIENT_B, HOST } from '../../bed/topology.ts'
import { IMAGE } from '../../containerd/containerd.ts'
import { leftovers } from '../../containerd/leftovers.ts'
import { SimulatorError } from '../api.ts'
import { askNode } from './ask.ts'
import type { StaticPod } from './kubelet.ts'
import { makeNetwork, NETWORK, NIC } from './multus.ts'
import { RESOURCE, untilKubeletHas, VARIABLE } from './node-plugin.ts'
import { type PodSide, podsByFiles, podsByServer } from './pods.ts'
import type { Stage } from './stage.ts'
import { until } from './until.ts'

/** A line for people. */
export type Say = (line: string) => void

const PORT = 8080
const SECOND_PORT = 8081

/** Runs all steps. @throws SimulatorError, or an error of the node, with the reason */
export async function realRun(stage: Stage, hasMultus: boolean, say: Say): Promise<void> {
  const { kubelet, cluster, card, runtime } = stage
  say(`kubelet ${kubelet.version}, ${(await runtime.cri.call('Version')).runtime_version} of containerd`)
  if (cluster !== undefined) say(`API server: ${cluster.versions.join(', ')}`)
  const pods = cluster === undefined ? podsByFiles(kubelet) : podsByServer(cluster)
  const has = (vfs: readonly string[]) => untilKubeletHas(stage.resources, vfs, () => kubelet.log())
  let plugin = await stage.plugin('--instance', 'one')
  say(
    `the device plugin was started; after ${await has(card.vfs)} ms kubelet had ${card.vfs.join(', ')} of ${RESOURCE}`,
  )
  if (hasMultus && cluster !== undefined) await prepareMultus(stage, say)
  const before = await leftovers(stage.lab)

  const device = await firstPod(stage, pods, hasMultus, say)
  const words = await pods.refused(podOf('greedy', card.vfs.length, {}))
  say(`a pod that asks for ${card.vfs.length} while one is taken: ${words}`)
  await pods.remove('greedy')

  await kubelet.stop()
  await kubelet.start()
  say(`kubelet was restarted; after ${await has(card.vfs)} ms it had all devices again`)
  await expectDevice(stage, device)
  await expectAnswer(stage, PORT, device)
  say(`the pod still has ${device}, and port ${PORT} leads to it`)

  await stage.stopPlugin(plugin)
  await has([])
  plugin = await stage.plugin('--instance', 'one')
  say(
    `the device plugin was stopped and started: kubelet had no device, and all again after ${await has(card.vfs)} ms`,
  )

  const next = await stage.plugin('--instance', 'two')
  await untilStands(next)
  await stage.stopPlugin(plugin)
  say(
    `an upgrade with surge: ${await has(card.vfs)} ms after the old process had gone kubelet had the devices of the new one`,
  )
  await expectDevice(stage, device)

  await pods.remove('web')
  await expectDevice(stage, undefined)
  await expectNothing(stage, before)
  say('the pod was deleted: its device is free, and nothing of it is left on the node')
}

/** True for a card of the machine; false for one of files, which has no VFs. */
const isCard = ({ flags }: Stage['card']) => flags.length === 0

async function prepareMultus({ cluster, lab, card }: Stage, say: Say): Promise<void> {
  if (cluster === undefined) return
  const hasVfs = isCard(card)
  if (!hasVfs) await lab.must(NIC.make)
  await makeNetwork(cluster, hasVfs)
  say(
    `Multus has the network "${NETWORK}" of ${hasVfs ? `VFs of ${RESOURCE}` : `${NIC.name}, which stands for a VF`}`,
  )
}

/** Starts the pod, asks it from the wire, and returns its device. */
async function firstPod(stage: Stage, pods: PodSide, hasMultus: boolean, say: Say): Promise<string> {
  const annotations = hasMultus
    ? {
        'k8s.v1.cni.cncf.io/networks': JSON.stringify([
          { name: NETWORK, portMappings: [{ hostPort: SECOND_PORT, containerPort: 80, protocol: 'tcp' }] },
        ]),
      }
    : {}
  const begin = Date.now()
  const { ip = '' } = await pods.run(podOf('web', 1, annotations))
  say(`a pod that asks for 1 ${RESOURCE} ran after ${Date.now() - begin} ms, with address ${ip}`)
  const device = await page(stage, PORT)
  if (!stage.card.vfs.includes(device))
    throw new SimulatorError(`the pod's ${VARIABLE} is "${device}", not one of ${stage.card.vfs.join(', ')}`)
  await expectDevice(stage, device)
  say(`its variable ${VARIABLE} is ${device}, and podresources says the same`)
  await expectAnswer(stage, PORT, device)
  say(`a client of the wire reached it at ${HOST.v4}:${PORT}, the host port of its spec`)
  if (!hasMultus) return device
  await expectAnswer(stage, SECOND_PORT, device)
  say(`and at ${HOST.v4}:${SECOND_PORT}, the port of its network "${NETWORK}"`)
  return device
}

function podOf(name: string, count: number, annotations: Readonly<Record<string, string>>): StaticPod {
  const serve = `echo "$${VARIABLE}" >/www/device && exec httpd -f -p 80 -h /www`
  const isWeb = name === 'web'
  return {
    metadata: { name, annotations },
    spec: {
      ...{ nodeName: 'node', terminationGracePeriodSeconds: 0, automountServiceAccountToken: false },
      ...{ enableServiceLinks: false, dnsPolicy: 'Default', tolerations: [{ operator: 'Exists' }] },
      containers: [
        {
          ...{ name: 'main', image: IMAGE, imagePullPolicy: 'Never', command: ['sh', '-c', serve] },
          resources: { limits: { [RESOURCE]: String(count) } },
          ...(isWeb ? { ports: [{ containerPort: 80, hostPort: PORT }] } : {}),
          readinessProbe: { exec: { command: ['cat', '/www/device'] }, periodSeconds: 1 },
        },
      ],
    },
  }
}

async function page({ card, lab }: Stage, port: number): Promise<string> {
  // A pod with a VF on the wire answers the wire by the VF. So a client behind the router asks at the port that leads to the bridge.
  const client = isCard(card) && port !== SECOND_PORT ? CLIENT_B : CLIENT_A
  return askNode(lab, client.namespace, port, '/device')
}

async function expectAnswer(stage: Stage, port: number, device: string): Promise<void> {
  const answer = await page(stage, port)
  if (answer !== device)
    throw new SimulatorError(`port ${port} of the node answers "${answer}", not the pod's "${device}"`)
}

/** podresources says that a pod has the device, or that none has any. A kubelet that has just started may not know its pods yet. */
async function expectDevice(stage: Stage, device: string | undefined): Promise<void> {
  const wanted = device === undefined ? [] : [device]
  let given: readonly string[] = []
  await until(
    async () => {
      ;({ given } = await stage.resources())
      const own = given.flatMap((line) => line.split(`${RESOURCE}=`)[1]?.replace(/@.*/, '') ?? [])
      return String(own) === String(wanted) ? true : undefined
    },
    () => `podresources says that ${device ?? 'no device'} is in use: "${given.join('; ')}"`,
  )
}

/** Nothing is on the node that was not there before the pod. kubelet forgets a pod before the runtime has ended it. */
export async function expectNothing({ lab, thick }: Stage, before: readonly string[]): Promise<void> {
  let left: readonly string[] = []
  await until(
    async () => {
      const all = await leftovers(lab)
      left = all.filter(
        (line) =>
          !before.includes(line) && !/^qdisc .* dev cni0 /.test(line) && thick?.leaves.test(line) !== true,
      )
      return left.length === 0 ? true : undefined
    },
    () => `nothing is left of the pod: ${left.join('; ')}`,
  )
}

/** Waits until a second process of the device plugin has kubelet's word, be it a stream or a refusal. */
async function untilStands(plugin: { stderr(): string }): Promise<void> {
  await until(
    async () => (/kubelet (watches|does not register)/.test(plugin.stderr()) ? true : undefined),
    () => `kubelet has a word for the second process: ${plugin.stderr()}`,
  )
}
