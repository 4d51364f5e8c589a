// Stands in for crictl, which no package of the distribution has: the verbs that the documents use, with the same arguments and the same calls to
// the runtime. Images must be there, as with --no-pull. In: arguments; CONTAINER_RUNTIME_SOCKET, and in CGROUP_PARENT the group for pods.
import { readFileSync } from 'node:fs'
import { callCri } from './cri-call.ts'
import type { CriCall } from './messages.ts'

type Answer = Readonly<Record<string, unknown>>

const [verb = '', ...words] = process.argv.slice(2)
const socket = process.env.CONTAINER_RUNTIME_SOCKET ?? '/run/containerd/containerd.sock'
/** Milliseconds that a call may take: those of kubelet. */
const LONGEST_CALL = 120_000

/** The runtime's refusal. */
class Refusal extends Error {}

const verbs: Readonly<Record<string, () => Promise<void>>> = {
  runp: async () => console.log(await sandbox(podOf(words[0]))),
  run: async () => {
    const [container, config] = [jsonOf(words[0]), podOf(words[1])]
    const pod_sandbox_id = await sandbox(config)
    const request = { pod_sandbox_id, config: { linux: {}, ...container }, sandbox_config: config }
    const { container_id } = await call('CreateContainer', request)
    await call('StartContainer', { container_id })
    console.log(container_id)
  },
  pods: async () => {
    const name = words[words.indexOf('--name') + 1]
    if (!words.includes('-q') || name === undefined) throw new TypeError('pods needs --name NAME -q')
    const { items } = (await call('ListPodSandbox', {})) as {
      items: { id: string; metadata: { name: string } }[]
    }
    for (const { id } of items.filter(({ metadata }) => metadata.name === name)) console.log(id)
  },
  stopp: () => each('StopPodSandbox', 'Stopped sandbox'),
  rmp: () => each('RemovePodSandbox', 'Removed sandbox'),
}

try {
  const action = verbs[verb]
  if (action === undefined) throw new TypeError(`no verb "${verb}"`)
  await action()
} catch (error) {
  console.error(`crictl: ${error instanceof Refusal ? error.message : String(error)}`)
  process.exitCode = 1
}

async function sandbox(config: Answer): Promise<string> {
  return String((await call('RunPodSandbox', { config })).pod_sandbox_id)
}

async function each(name: CriCall, done: string): Promise<void> {
  for (const pod_sandbox_id of words) {
    await call(name, { pod_sandbox_id })
    console.log(`${done} ${pod_sandbox_id}`)
  }
}

function jsonOf(file: string | undefined): Answer {
  return JSON.parse(readFileSync(file ?? '', 'utf8')) as Answer
}

function podOf(file: string | undefined): Answer {
  const config = jsonOf(file)
  return { ...config, linux: { ...(config.linux as object), cgroup_parent: process.env.CGROUP_PARENT ?? '' } }
}

async function call(name: CriCall, request: object): Promise<Answer> {
  const outcome = await callCri(socket, name, request, LONGEST_CALL)
  if ('refused' in outcome) throw new Refusal(outcome.refused)
  return outcome.answer as Answer
}
