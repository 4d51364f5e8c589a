// Servers and clients inside the guest's namespaces. In: who listens or asks what, where. Out: who answered,
// with every byte compared. One process serves or asks for a whole list: its start is what takes time.

import { DRIVER } from '../driver/client.ts'
import type { Lab, LabProcess } from '../lab.ts'

/** `digest` is TCP with the checksum of the bytes as the answer: for many bytes in one direction. */
export type Protocol = 'tcp' | 'udp' | 'http' | 'digest'

/** A port on which a server listens: all addresses of both families without `address`. */
export interface Listen {
  /** The server's name in every answer. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  readonly address?: string
  /** UDP only: number of bytes that the answer adds. */
  readonly padding?: number
}

/** One exchange of a client. `bytes` (default 1,000) go there and come back. */
export interface Ask {
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  readonly bytes?: number
  /** The {@link Listen.padding} of the asked server. */
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

/** The right bytes came back. `peer` is the client in the server's eyes, `local` in its own. */
export interface Answer {
  readonly ok: true
  readonly server: string
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly bytes: number
}

/** `error` is the errno's name, `ETIMEDOUT` when no answer came in time, or the difference of the bytes. */
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

/** The command that runs `argv` in `namespace`. */
export function inNamespace(namespace: Namespace, argv: readonly string[]): string[] {
  return namespace === null ? [...argv] : ['ip', 'netns', 'exec', namespace, ...argv]
}

/** Starts a process in the background and waits until `ready` is true; fails with the process's output if it ends before. */
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
 * Makes a server on port 80 of `pod` send to a client in the namespace `client` that connects to `address` and reads nothing, until
 * the server has data that it can't send. A process that is killed then leaves the data to the kernel.
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

/** The command before the words for traffic-guest.ts. Without a JIT, because no code in it is worth compiling. */
export const PROGRAM = ['env', 'BUN_JSC_useJIT=0', DRIVER, 'traffic'] as const
