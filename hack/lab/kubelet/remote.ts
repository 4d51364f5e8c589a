// The kubelet simulator and the plugin that takes notes, in a node of the lab (guest.ts, recorder-guest.ts), driven from a test. In: a Lab.
// Out: the interfaces Kubelet and Recorder.
import { startOrders } from '../bed/orders.ts'
import { DRIVER } from '../driver/client.ts'
import type { Lab } from '../lab.ts'
import type { Kubelet, KubeletCall, KubeletOptions } from './api.ts'
import type { AnswerLine, CallLine } from './lines.ts'
import { RECORDER_CALLS, type Recorder } from './recorder.ts'

/** A kubelet in a node, and the end of its process. */
export interface RemoteKubelet extends Kubelet {
  /** Ends the program. */
  close(): Promise<void>
}

const CALLS: readonly KubeletCall[] = [
  ...(['start', 'stop', 'restart', 'devices', 'resources', 'wait', 'allocate', 'run'] as const),
  ...([
    'allocateIds',
    'prefer',
    'preStart',
    'options',
    'endPod',
    'dropStreams',
    'hang',
    'removeSockets',
  ] as const),
  ...(['wipe', 'refuse', 'ignore', 'registrations'] as const),
]

/** Starts the simulator's program in a node. The kubelet itself starts with `start`. `under`: words before the program, such as `ip netns exec NAME`. */
export async function kubeletIn(
  lab: Lab,
  options: KubeletOptions,
  under: readonly string[] = [],
): Promise<RemoteKubelet> {
  const argv = [...under, DRIVER, 'kubelet', JSON.stringify(options)]
  const { calls, end } = await remote<Kubelet>(lab, 'The kubelet simulator', argv, CALLS)
  return { ...calls, close: end }
}

/** Starts the program of a plugin that takes notes in a node. */
export function recorderIn(lab: Lab): Promise<Remote<Recorder>> {
  return remote<Recorder>(lab, 'The plugin that takes notes', [DRIVER, 'recorder'], RECORDER_CALLS)
}

/** An object in another process, and the end of that process. */
interface Remote<T> {
  /** The named calls alone. */
  readonly calls: T
  /** Ends the program by the end of its input. */
  end(): Promise<void>
}

/** Starts a program of answerLines() in a node. `who` names it in errors. */
async function remote<T extends object>(
  lab: Lab,
  who: string,
  argv: readonly string[],
  names: readonly (keyof T & string)[],
): Promise<Remote<T>> {
  const { order, finish } = await startOrders<CallLine, AnswerLine>(lab, who, argv)
  const calls = names.map(
    (call) => [call, async (...args: readonly unknown[]) => (await order({ call, args })).value] as const,
  )
  return { calls: Object.fromEntries(calls) as unknown as T, end: finish }
}
