// The kubelet simulator and the plugin that takes notes, in a node of the lab (guest.ts, recorder-guest.ts), driven from a test. In: a Lab.
// Out: the interfaces Kubelet and Recorder.
import { DRIVER } from '../driver/client.ts'
import type { Lab } from '../lab.ts'
import type { Kubelet, KubeletCall, KubeletOptions } from './api.ts'
import { type Remote, remote } from './lines.ts'
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
  const { calls, end } = await remote<Kubelet>(lab, 'the simulator', argv, CALLS)
  return { ...calls, close: end }
}

/** Starts the program of a plugin that takes notes in a node. */
export function recorderIn(lab: Lab): Promise<Remote<Recorder>> {
  return remote<Recorder>(lab, 'the plugin', [DRIVER, 'recorder'], RECORDER_CALLS)
}
