// Servers and clients inside the guest's namespaces. In: who listens or asks what, where. Out: who answered,
// with every byte compared. One process serves or asks for a whole list: its start is what takes time.

import { DRIVER } from '../driver/client.ts'
import type { Lab, LabProcess } from '../lab.ts'

/** `digest` is TCP whose answer is the sum of what was sent: for much, in one direction. */
export type Protocol = 'tcp' | 'udp' | 'http' | 'digest'

/** A port on which a server listens: all addresses of both families without `address`. */
export interface Listen {
  /** Says so in every answer. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  readonly address?: string
  /** UDP only: so many bytes are added to what is sent back. */
  readonly padding?: number
}

/** One exchange of a client. `bytes` (default 1,000) go there and come back. */
export interface Ask {
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  readonly bytes?: number
  /** The {@link Listen.padding} of the server that is asked. */
  readonly padding?: number
  /** Not for HTTP. */
  readonly sourcePort?: number
  readonly sourceAddress?: string
  /** Milliseconds, default 10,000. UDP repeats its datagram until then. */
  readonly timeoutMs?: number
}

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** The right bytes came back: `peer` is the client as the server saw it, `local` as it saw itself. */
export interface Answer {
  readonly ok: true
  readonly server: string
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly bytes: number
}

/** `error` is the errno's name, `ETIMEDOUT` when nothing came in time, or says how the bytes differ. */
export type Outcome = Answer | { readonly ok: false; readonly error: string }

/** A namespace by its name in /run/netns, or null for the guest's first one. */
export type Namespace = string | null

/** A process that listens in the guest. */
export interface Server {
  stop(): Promise<void>
}

/** Starts servers in a namespace; they listen when this resolves. */
export async function serve(lab: Lab, namespace: Namespace, listeners: readonly Listen[]): Promise<Server> {
  const argv = inNamespace(namespace, [...PROGRAM, 'serve', JSON.stringify(listeners)])
  const process = await startedWhen(lab, argv, (child) => child.stdout().includes('ready'))
  return {
    stop: async () => {
      process.kill('SIGKILL')
      await process.wait()
    },
  }
}

/** Asks all questions at the same time; one outcome for each, in the same order. */
export async function tryAsk(lab: Lab, namespace: Namespace, questions: readonly Ask[]): Promise<Outcome[]> {
  const argv = inNamespace(namespace, [...PROGRAM, 'ask', JSON.stringify(questions)])
  const { code, stdout, stderr } = await lab.exec(argv)
  if (code !== 0) throw new Error(`Cannot ask from ${namespace ?? 'the host'}: code ${code}: ${stderr}`)
  return JSON.parse(stdout) as Outcome[]
}

/** {@link tryAsk} that fails, naming the question, unless all get the right answer. */
export async function ask(lab: Lab, namespace: Namespace, questions: readonly Ask[]): Promise<Answer[]> {
  return answersOf(namespace, questions, await tryAsk(lab, namespace, questions))
}

/** The answers; fails, naming the question, when one is missing or wrong. */
export function answersOf(
  namespace: Namespace,
  questions: readonly Ask[],
  outcomes: readonly Outcome[],
): Answer[] {
  return outcomes.map((outcome, index) => {
    if (outcome.ok) return outcome
    const question = questions[index]
    const what = `${question?.protocol} ${question?.address} port ${question?.port}`
    throw new Error(`No right answer for ${namespace ?? 'the host'} from ${what}: ${outcome.error}`)
  })
}

/** `argv` as it has to be run to find itself in `namespace`. */
export function inNamespace(namespace: Namespace, argv: readonly string[]): string[] {
  return namespace === null ? [...argv] : ['ip', 'netns', 'exec', namespace, ...argv]
}

/** Starts a process in the background and waits until `ready` holds; fails with its words if it ends before. */
export async function startedWhen(
  lab: Lab,
  argv: readonly string[],
  ready: (process: LabProcess) => boolean,
): Promise<LabProcess> {
  let changed: () => void = () => undefined
  const onOutput = () => changed()
  const child = await lab.spawn(argv, { timeoutMs: 0, stdin: '', onStdout: onOutput, onStderr: onOutput })
  await new Promise<void>((resolve, reject) => {
    changed = () => {
      if (ready(child)) resolve()
    }
    changed()
    child
      .wait()
      .then(
        ({ code, stderr }) => reject(new Error(`'${argv.join(' ')}' ended with code ${code}: ${stderr}`)),
        reject,
      )
  })
  return child
}

/**
 * Has a server on port 80 of `pod` send to a client in the namespace `client` that connects to `address`
 * and reads nothing, until the server has data that it can't send. Whoever is killed then leaves it to the kernel.
 */
export async function serveToWhoDoesNotRead(
  lab: Lab,
  pod: string,
  address: string,
  client: string,
): Promise<void> {
  const shell = (namespace: string) => ['ip', 'netns', 'exec', namespace, 'busybox', 'sh', '-c'] as const
  await lab.spawn([...shell(pod), 'exec busybox nc -l -p 80 </dev/zero'], { timeoutMs: 0 })
  await lab.must(`until ip netns exec ${pod} ss -Hltn | grep -q :80; do sleep 0.1; done`)
  const reader = `echo ready; trap '' PIPE; busybox sleep 300 | busybox nc ${address} 80 | busybox sleep 300`
  await startedWhen(lab, [...shell(client), reader], (child) => child.stdout().includes('ready'))
  const full = `ip netns exec ${pod} ss -Htn state established | grep -qE '^[0-9]+ +[0-9]{5,} '`
  await lab.must(`until ${full}; do sleep 0.1; done`)
}

/** To be followed by what traffic-guest.ts takes. Nothing in it is worth compiling. */
export const PROGRAM = ['env', 'BUN_JSC_useJIT=0', DRIVER, 'traffic'] as const
