// Pods of a real kubelet whose networks come from Multus as a daemon, beside our agent: the agent serves each call, a daemon that dies beside a
// live pod costs nothing, and an error of ours reaches the pod's events whole. Each step fails unless it came as it must. In: a stage with
// the daemon, after the steps of run.ts. Out: lines for people, by `say`.
import type { AgentStatus } from '../../../../src/agent/status.ts'
import { CLIENT_A } from '../../bed/topology.ts'
import type { ConfigList } from '../../cni-runtime.ts'
import { IMAGE } from '../../containerd/containerd.ts'
import { leftovers } from '../../containerd/leftovers.ts'
import { offload } from '../../containerd/networks.ts'
import { SimulatorError } from '../api.ts'
import { askNode } from './ask.ts'
import type { Cluster } from './cluster.ts'
import { NODE, type StaticPod } from './kubelet.ts'
import { NETWORK, NETWORKS, networkObject } from './multus.ts'
import { podsByServer } from './pods.ts'
import { hasMultus, type Programs } from './programs.ts'
import { expectNothing, realRun, type Say } from './run.ts'
import type { Stage } from './stage.ts'
import type { Thick } from './thick.ts'
import { until } from './until.ts'

const PORT = 8082
const SECOND_PORT = 8083
/** A network whose device is no device of the node, and the error of `vf-attach`. */
const BROKEN = 'broken'
const NO_DEVICE = 'nic-nowhere'
const ERROR = `plugin type="vf-attach" failed (add): Cannot use device "${NO_DEVICE}": no interface of the host is that`
/** Bits in a second, and bits. */
const LIMITS = { ingressRate: 20e6, ingressBurst: 4e6, egressRate: 20e6, egressBurst: 4e6 }
/** Calls for a pod: `vf-offload` for the network of all pods, `vf-attach` and `vf-offload` for its own. */
const CALLS = 3

/** The steps of one pod, and with the daemon those of this file. @throws as they do */
export async function allSteps(stage: Stage, programs: Programs, say: Say): Promise<void> {
  await realRun(stage, hasMultus(programs), say)
  const { cluster, thick } = stage
  if (cluster !== undefined && thick !== undefined) await thickRun(stage, cluster, thick, say)
}

/** Runs all steps. @throws SimulatorError, or an error of the node, with the reason */
async function thickRun(stage: Stage, cluster: Cluster, thick: Thick, say: Say): Promise<void> {
  const { lab } = stage
  say(`Multus: ${thick.version}, with the limits of its manifest`)
  const pods = podsByServer(cluster)
  const before = await leftovers(lab)
  const agent = await lab.spawn(['/usr/local/bin/vf-agent'], { timeoutMs: 0 })
  try {
    await expectServed(stage, {})
    await pods.run(podOf('warm', NETWORK))
    await expectName(stage, 'warm')
    say(
      `a pod with both networks, ports and limits runs; the agent has ${await expectServed(stage, { ADD: CALLS })}`,
    )

    await thick.killed()
    await expectName(stage, 'warm')
    await pods.remove('warm')
    await expectNothing(stage, before)
    const served = await expectServed(stage, { ADD: CALLS, DEL: CALLS })
    say(
      `the daemon was killed and came back, and the pod was deleted: nothing of it is left; the agent has ${served}`,
    )

    await cluster.api('POST', NETWORKS, networkObject(brokenNetwork()))
    await pods.place(podOf('failing', BROKEN))
    await untilEvent(cluster, ERROR)
    say(`a network without its device: an event of the pod has the whole error, ${ERROR}`)
    await pods.remove('failing')
    await expectNothing(stage, before)
  } finally {
    agent.kill('SIGTERM')
    await agent.wait()
  }
}

function brokenNetwork(): ConfigList {
  return { cniVersion: '1.0.0', name: BROKEN, plugins: [{ type: 'vf-attach', device: NO_DEVICE }, offload] }
}

function podOf(name: string, network: string): StaticPod {
  const port = { hostPort: SECOND_PORT, containerPort: 80, protocol: 'tcp' }
  const asked = [{ name: network, portMappings: [port], bandwidth: LIMITS }]
  return {
    metadata: {
      name,
      annotations: {
        'k8s.v1.cni.cncf.io/networks': JSON.stringify(asked),
        'kubernetes.io/ingress-bandwidth': '20M',
        'kubernetes.io/egress-bandwidth': '20M',
      },
    },
    spec: {
      ...{ nodeName: NODE, terminationGracePeriodSeconds: 0, automountServiceAccountToken: false },
      ...{ enableServiceLinks: false, dnsPolicy: 'Default', tolerations: [{ operator: 'Exists' }] },
      containers: [
        {
          ...{ name: 'main', image: IMAGE, imagePullPolicy: 'Never' },
          command: ['httpd', '-f', '-p', '80', '-h', '/www'],
          ports: [{ containerPort: 80, hostPort: PORT }],
        },
      ],
    },
  }
}

/** A client of the wire reaches the pod by both ports, and both of its interfaces have limits in both directions. */
async function expectName({ lab }: Stage, pod: string): Promise<void> {
  for (const port of [PORT, SECOND_PORT]) {
    const answer = await askNode(lab, CLIENT_A.namespace, port, '/cgi-bin/who')
    if (!answer.startsWith(`${pod} to `))
      throw new SimulatorError(`port ${port} of the node answers "${answer}", not the pod ${pod}`)
  }
  const limited = await lab.must(`for namespace in $(ls /run/netns | grep '^cni-'); do
    tc -n "$namespace" qdisc show
  done; tc qdisc show`)
  const count = limited.split('\n').filter((line) => line.startsWith('qdisc tbf ')).length
  if (count < 4) throw new SimulatorError(`two interfaces must have limits in both directions: "${limited}"`)
}

/** The agent has served the calls of these verbs, each with success, and has sent none away. @throws SimulatorError */
async function expectServed({ lab }: Stage, wanted: Readonly<Record<string, number>>): Promise<string> {
  const { verbs, refusals, fallbacks } = await until(
    async () => {
      const { code, stdout } = await lab.exec(['/usr/local/bin/vfctl', 'agent', '--json'])
      return code === 0 ? (JSON.parse(stdout) as AgentStatus) : undefined
    },
    () => 'the agent answers vfctl',
  )
  const lines = verbs
    .filter(({ outcomes }) => Object.keys(outcomes).length > 0)
    .map(({ verb, outcomes, failed }) => `${verb} ${JSON.stringify(outcomes)}, ${failed} failed`)
  const text = [...lines, JSON.stringify({ refusals, fallbacks })].join('; ')
  const isAll = Object.entries(wanted).every(([verb, count]) => {
    const of = verbs.find((one) => one.verb === verb)
    return of?.failed === 0 && of.outcomes.answered === count
  })
  if (!isAll || Object.keys(refusals).length + Object.keys(fallbacks).length > 0)
    throw new SimulatorError(`the agent must have served ${JSON.stringify(wanted)} and nothing else: ${text}`)
  return text
}

/** Waits until an event of a pod has these words. */
async function untilEvent(cluster: Cluster, words: string): Promise<void> {
  let messages: readonly string[] = []
  await until(
    async () => {
      const { items } = (await cluster.api('GET', '/api/v1/namespaces/default/events')) as {
        items: readonly { message: string }[]
      }
      messages = items.map(({ message }) => message)
      return messages.some((message) => message.includes(words)) ? true : undefined
    },
    () => `an event says "${words}": ${messages.join('; ')}`,
  )
}
