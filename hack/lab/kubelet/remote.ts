// The kubelet simulator in a node of the lab (guest.ts), driven from a test. In: a Lab. Out: the interface Kubelet.
import { DRIVER } from '../driver/client.ts'
import type { Lab } from '../lab.ts'
import { type Kubelet, type KubeletCall, type KubeletOptions, SimulatorError } from './api.ts'
import type { AnswerLine, CallLine } from './guest.ts'

/** A kubelet in a node, and the end of its process. */
export interface RemoteKubelet extends Kubelet {
  /** Ends the program. */
  close(): Promise<void>
}

const CALLS: readonly KubeletCall[] = [
  ...(['start', 'stop', 'restart', 'devices', 'resources', 'wait', 'allocate', 'allocateIds'] as const),
  ...(['prefer', 'preStart', 'options', 'endPod', 'dropStreams', 'hang', 'removeSockets'] as const),
  ...(['wipe', 'refuse', 'ignore', 'registrations'] as const),
]

/** Starts the simulator's program in a node. The kubelet itself starts with `start`. `under`: words before the program, such as `ip netns exec NAME`. */
export async function kubeletIn(
  lab: Lab,
  options: KubeletOptions,
  under: readonly string[] = [],
): Promise<RemoteKubelet> {
  const pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  const decoder = new TextDecoder()
  let rest = ''
  let count = 0
  const take = (line: string) => {
    const { id, value, error } = JSON.parse(line) as AnswerLine
    const waiting = pending.get(id)
    pending.delete(id)
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new SimulatorError(error))
  }
  const program = await lab.spawn([...under, DRIVER, 'kubelet', JSON.stringify(options)], {
    timeoutMs: 0,
    onStdout: (data) => {
      const lines = (rest + decoder.decode(data, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) take(line)
    },
  })
  const ended = program.wait().catch(() => undefined)
  void ended.then(() => {
    for (const { reject } of pending.values())
      reject(new SimulatorError(`the simulator has ended: ${program.stderr()}`))
  })
  const send = (call: KubeletCall, args: readonly unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      const line: CallLine = { id: ++count, call, args }
      pending.set(line.id, { resolve, reject })
      program.write(`${JSON.stringify(line)}\n`)
    })
  const calls = CALLS.map((name) => [name, (...args: readonly unknown[]) => send(name, args)] as const)
  const close = async () => {
    program.end()
    await ended
  }
  return { ...(Object.fromEntries(calls) as unknown as Kubelet), close }
}
