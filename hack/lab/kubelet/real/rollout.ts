// The manifests of device-plugin/deploy in a cluster of one node, by the commands of docs/kubernetes.md: they install, give pods devices,
// networks, ports and limits, are upgraded beside pods, and removed. Each step fails unless it came as it must. In: a cluster. Out: lines for
// people, by `say`.
import type { AgentStatus } from '../../../../src/agent/status.ts'
import { CLIENT_A, CLIENT_B, HOST } from '../../bed/topology.ts'
import { leftovers } from '../../containerd/leftovers.ts'
import { SimulatorError } from '../api.ts'
import { askNode } from './ask.ts'
import { type Edited, MAKE_ENDS, writeEdited } from './edited.ts'
import { DEPLOY } from './kubectl.ts'
import { VFS } from './node-plugin.ts'
import type { Say } from './run.ts'
import { until } from './until.ts'
import type { Whole } from './whole.ts'

const RESOURCE = 'example.com/vf_a'
const PORT = 8080
const LIMITED_PORT = 8081
const OURS = ['-n', 'vf-flower'] as const
const EXAMPLES = ['-n', 'vf-flower-examples'] as const

/** Runs all steps. @throws SimulatorError, or an error of the node, with the reason */
export async function rollout(whole: Whole, say: Say): Promise<void> {
  const { cluster, kubelet, kubectl, runtime, lab } = whole
  const { runtime_version } = await runtime.cri.call('Version')
  say(`${[kubelet.version, ...cluster.versions].join(', ')}, ${runtime_version} of containerd`)
  if (whole.files !== undefined) await lab.must(MAKE_ENDS)
  const edited = await writeEdited(whole)
  const before = await filesOf(whole)

  await kubectl.apply(`${DEPLOY}/overlays/daemonset`)
  await rolledOut(whole)
  const first = await agent(whole)
  say(`overlays/daemonset was applied: installer, agent (build ${first.build}) and device plugin are ready`)
  await kubectl.apply(edited.daemonset)
  await rolledOut(whole)
  await untilAllocatable(whole, String(VFS))
  say(`the node has ${VFS} of ${RESOURCE} to allocate`)

  await breakPlugin(whole, edited, say)

  const without = await ofPods(whole)
  await runExamples(whole, edited, say)
  const { verbs } = await agent(whole)
  const adds = verbs.find(({ verb }) => verb === 'ADD')
  if (adds === undefined || adds.failed > 0)
    throw new SimulatorError(`the agent must have served each ADD: ${JSON.stringify(verbs)}`)
  say('the agent of the DaemonSet has served the calls of their plugins')

  await upgrade(whole, edited, first.build, say)
  await untilProbed(whole)
  say('kubelet has asked each container that has a probe, and each was well')
  await lookAround(whole, say)

  await kubectl.must(['delete', '-k', edited.examples, '--timeout=600s'])
  await expectSame('the pods', without, () => ofPods(whole))
  say('the examples were deleted: nothing of them is left on the node')
  await kubectl.must(['delete', '-k', edited.next, '--timeout=600s'])
  await kubectl.apply(edited.remove)
  await rolledOut(whole)
  await kubectl.must(['delete', '-k', edited.remove, '--timeout=600s'])
  await expectSame('the install', before, () => filesOf(whole))
  say('overlays/remove was applied and deleted: no file of vf-flower is on the node')
}

/** Waits until each DaemonSet has all its pods in the newest version. @throws SimulatorError with the pods' states and logs */
async function rolledOut({ kubectl, lab }: Whole): Promise<void> {
  const names = (await kubectl.must(['get', 'daemonsets', ...OURS, '-o', 'name'])).trim().split('\n')
  for (const name of names) {
    const { code, stdout, stderr } = await kubectl.run(['rollout', 'status', name, ...OURS, '--timeout=600s'])
    if (code === 0) continue
    const pods = await kubectl.must(['get', 'pods,events', ...OURS, '-o', 'wide'])
    const logs = await lab.must('tail -n 30 /var/log/pods/vf-flower_*/*/*.log')
    throw new SimulatorError(`${name} is not rolled out: ${stdout}${stderr}\n${pods}\n${logs}`)
  }
  // Pods of the version before may still end: until then kubelet may give devices of theirs away, and fail.
  await until(
    async () => {
      const pods = (await kubectl.must(['get', 'pods', ...OURS, '-o', 'name'])).trim().split('\n')
      return pods.length === names.length ? true : undefined
    },
    () => kubectl.must(['get', 'pods', ...OURS]),
  )
}

/** The agent as `vfctl agent` of the node shows it. */
async function agent({ lab }: Whole): Promise<AgentStatus> {
  return until(
    async () => {
      const { code, stdout } = await lab.exec(['/var/lib/vf-flower/installed/vfctl', 'agent', '--json'])
      return code === 0 ? (JSON.parse(stdout) as AgentStatus) : undefined
    },
    () => 'the agent answers vfctl',
  )
}

async function untilAllocatable({ kubectl }: Whole, wanted: string): Promise<void> {
  let has: string | undefined
  await until(
    async () => {
      const { status } = (await kubectl.object(['node', 'node'])) as {
        status: { allocatable: Readonly<Record<string, string>> }
      }
      has = status.allocatable[RESOURCE]
      return has === wanted ? true : undefined
    },
    () => `the node has ${wanted} of ${RESOURCE} to allocate: it has ${has}`,
  )
}

/** A device plugin that can't work comes: it must not take the place of the one that does. */
async function breakPlugin(whole: Whole, { broken, daemonset }: Edited, say: Say): Promise<void> {
  const { kubectl, lab } = whole
  const pods = async () => {
    const words = ['get', 'pods', ...OURS, '-l', 'app.kubernetes.io/name=vf-device-plugin', '-o', 'name']
    return (await kubectl.must(words)).trim().split('\n').sort()
  }
  const [former = ''] = await pods()
  await kubectl.apply(broken)
  let probes = ''
  await until(
    async () => {
      const now = await pods()
      if (!now.includes(former))
        throw new SimulatorError(`${former} was taken away for one that is not ready`)
      const next = now.find((name) => name !== former)?.replace('pod/', '')
      probes = await lab.must('curl -sS -m 60 http://127.0.0.1:10255/metrics/probes')
      // The controller has had the time of more than one probe to take the former away.
      return probes
        .split('\n')
        .filter((line) => /probe_type="Readiness"/.test(line) && line.includes(`pod="${next}"`))
        .some((line) => /result="failed"/.test(line) && Number(line.split(' ').at(-1)) > 2)
        ? true
        : undefined
    },
    () => `kubelet finds the broken device plugin not ready: ${probes}`,
  )
  await untilAllocatable(whole, String(VFS))
  await kubectl.apply(daemonset)
  await rolledOut(whole)
  await untilAllocatable(whole, String(VFS))
  say('a device plugin that finds no kubelet was applied: the one before stayed, until one came that works')
}

async function runExamples(whole: Whole, { examples }: Edited, say: Say): Promise<void> {
  const { kubectl } = whole
  await kubectl.apply(examples)
  await examplesReady(whole)
  const pod = await webPod(whole)
  say(`examples/web and examples/limited run; the port of the node gave "${await page(whole, PORT)}"`)
  await expectWord(whole, PORT, pod)
  await expectWord(whole, LIMITED_PORT, 'limited')
  say(`a client of the wire reached them at ${HOST.v4}:${PORT} and ${HOST.v4}:${LIMITED_PORT}`)
}

async function examplesReady({ kubectl, lab }: Whole): Promise<void> {
  for (const words of [
    ['rollout', 'status', 'deployment/web'],
    ['wait', '--for=condition=Ready', 'pod/limited'],
  ]) {
    const { code, stderr } = await kubectl.run([...words, ...EXAMPLES, '--timeout=600s'])
    if (code === 0) continue
    const pods = await kubectl.must(['get', 'pods,events', ...EXAMPLES, '-o', 'wide'])
    throw new SimulatorError(
      `${words.at(-1)} is not ready: ${stderr}\n${pods}\n${await lab.must('nft list ruleset')}`,
    )
  }
}

/** The name of the pod of the Deployment that is not being deleted. */
async function webPod({ kubectl }: Whole): Promise<string> {
  const { items } = (await kubectl.object(['pods', ...EXAMPLES, '-l', 'app.kubernetes.io/name=web'])) as {
    items: readonly { metadata: { name: string; deletionTimestamp?: string } }[]
  }
  const [pod] = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  if (pod === undefined) throw new SimulatorError('the Deployment web has no pod')
  return pod.metadata.name
}

async function page({ lab, files }: Whole, port: number): Promise<string> {
  // A pod with a VF on the wire answers the wire by the VF. So a client behind the router asks for the port that leads to it.
  const client = files === undefined ? CLIENT_B : CLIENT_A
  return askNode(lab, client.namespace, port, '/cgi-bin/who')
}

/** The server behind a port names the pod that it is in. */
async function expectWord(whole: Whole, port: number, pod: string): Promise<void> {
  const answer = await page(whole, port)
  if (!answer.startsWith(`${pod} to `))
    throw new SimulatorError(`port ${port} of the node answers "${answer}", not the pod ${pod}`)
}

/** The image of the next release comes: pods go on, and new ones get their network of the new build. */
async function upgrade(whole: Whole, { next }: Edited, former: string, say: Say): Promise<void> {
  const { kubectl } = whole
  const pod = await webPod(whole)
  await kubectl.apply(next)
  await rolledOut(whole)
  await until(
    async () => ((await agent(whole)).build === former ? undefined : true),
    () => `the agent is of another build than ${former}`,
  )
  await untilAllocatable(whole, String(VFS))
  await expectWord(whole, PORT, pod)
  await expectWord(whole, LIMITED_PORT, 'limited')
  say(
    `an upgrade came node by node: the agent is of build ${(await agent(whole)).build}, and the pods went on`,
  )
  await kubectl.must(['delete', 'pod', pod, ...EXAMPLES, '--timeout=600s'])
  await examplesReady(whole)
  const second = await webPod(whole)
  if (second === pod) throw new SimulatorError(`the pod ${pod} was not replaced`)
  await expectWord(whole, PORT, second)
  say(`the pod ${pod} was deleted: its successor ${second} has its device and its port`)
}

/** kubelet counts its probes by result: each container was well at least once, and each probe could be done. @throws SimulatorError */
async function untilProbed({ lab, kubectl }: Whole): Promise<void> {
  let lines: readonly string[] = []
  const has = (container: string, result: string) =>
    lines.some((line) => line.includes(`container="${container}"`) && line.includes(`result="${result}"`))
  await until(
    async () => {
      const text = await lab.must('curl -sS -m 60 http://127.0.0.1:10255/metrics/probes')
      lines = text.split('\n').filter((line) => /^prober_probe_total\{.*probe_type="Liveness"/.test(line))
      const containers = ['agent', 'device-plugin']
      if (containers.some((container) => has(container, 'unknown')))
        throw new SimulatorError(`a probe could not be done: ${await eventsOf(kubectl)}`)
      return containers.every((container) => has(container, 'successful')) ? true : undefined
    },
    () => `kubelet has found each container well: ${lines.join('; ')}`,
  )
}

const eventsOf = (kubectl: Whole['kubectl']) => kubectl.must(['get', 'events', ...OURS])

/** The commands of docs/troubleshooting.md that look at a node by its pods. @throws SimulatorError */
async function lookAround({ kubectl, files }: Whole, say: Say): Promise<void> {
  const exec = async (...words: readonly string[]) => kubectl.must(['exec', ...OURS, ...words])
  const explain = [
    ...['/opt/vf-flower/enter', 'device-plugin', 'explain'],
    '--config-file=/etc/vf-flower-device-plugin/config.json',
    ...(files === undefined ? [] : ['--sys-root=/host/card']),
  ]
  const looks: readonly (readonly [string, string])[] = [
    [RESOURCE, await exec('ds/vf-device-plugin', '--', ...explain)],
    [
      'agent',
      await exec('ds/vf-flower-node', '-c', 'agent', '--', '/var/lib/vf-flower/installed/vfctl', 'node'),
    ],
    [
      'serving',
      await exec('ds/vf-flower-node', '-c', 'agent', '--', '/var/lib/vf-flower/installed/vfctl', 'agent'),
    ],
    ['installed', await kubectl.must(['logs', ...OURS, 'daemonset/vf-flower-node', '-c', 'install'])],
  ]
  for (const [word, text] of looks)
    if (!text.includes(word)) throw new SimulatorError(`"${word}" is not in "${text}"`)
  say('kubectl exec and kubectl logs show pools, node, agent and install')
}

/** Traces of pods on the node, their bridge left out: another plugin made it. */
async function ofPods({ lab }: Whole): Promise<readonly string[]> {
  return (await leftovers(lab)).filter((line) => !/^qdisc .* dev cni0 /.test(line))
}

/** Programs, configs, services and records on the node; not the note that the device plugin leaves to the next one. */
async function filesOf({ lab }: Whole): Promise<readonly string[]> {
  const text = await lab.must(
    `find /usr/local/bin /usr/local/libexec /usr/local/lib/systemd /opt/cni /etc ! -path '/etc/kubernetes*' 2>/dev/null
     find /var/lib/cni/vf-flower -type f ! -name device-plugin.json 2>/dev/null || true`,
  )
  return text.trim().split('\n')
}

/** A look at the node shows what one before showed. */
async function expectSame(
  what: string,
  before: readonly string[],
  look: () => Promise<readonly string[]>,
): Promise<void> {
  let differs: readonly string[] = []
  await until(
    async () => {
      const after = await look()
      differs = [
        ...after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
        ...before.filter((line) => !after.includes(line)).map((line) => `- ${line}`),
      ]
      return differs.length === 0 ? true : undefined
    },
    () => `the node is as before ${what} came: ${differs.join('; ')}`,
  )
}
