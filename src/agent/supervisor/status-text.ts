/** The state of the agent as values: for the status socket, and as gauges. */
import { version } from '../../lib/version.ts'
import { type Sample, sample } from '../metrics/series.ts'
import type { AgentStatus } from '../status.ts'
import type { Decisions } from './decisions.ts'
import type { Tally } from './tally.ts'

/** Parts of the state. */
export interface StatusSources {
  readonly build: string
  readonly isDraining: boolean
  readonly seconds: number
  readonly decisions: Decisions
  readonly tally: Tally
  readonly problem: string | undefined
  readonly workers: ReadonlyMap<
    number,
    { readonly pid: number; readonly call?: string; readonly waits?: string; readonly kilobytes?: number }
  >
  readonly now: number
}

/** The state of the agent now. */
export function agentStatus(from: StatusSources): AgentStatus {
  const { decisions, now, problem } = from
  return {
    ...{ state: from.isDraining ? 'draining' : 'serving', version, build: from.build },
    ...{ pid: process.pid, seconds: from.seconds, waiting: decisions.queued },
    workers: decisions.workers.map(({ id, state, since, calls }) => {
      const { pid = 0, kilobytes = 0, call, waits } = from.workers.get(id) ?? {}
      return {
        ...{ pid, state, seconds: (now - since) / 1_000, calls, kilobytes },
        ...(call === undefined ? {} : { call }),
        ...(waits === undefined ? {} : { waits }),
      }
    }),
    ...from.tally.summary(),
    ...(problem === undefined ? {} : { settingsProblem: problem }),
  }
}

/** The gauges of a state. */
export function gauges({ version, build, seconds, workers, waiting }: AgentStatus): readonly Sample[] {
  const states = ['starting', 'free', 'busy', 'ending', 'killed']
  const memory = (process: string, bytes: number) =>
    sample('vf_flower_agent_resident_memory_bytes', { process }, bytes)
  return [
    sample('vf_flower_agent_info', { version, build }, 1),
    sample('vf_flower_agent_start_time_seconds', {}, Date.now() / 1_000 - seconds),
    memory('supervisor', process.memoryUsage.rss()),
    memory('workers', workers.reduce((sum, { kilobytes }) => sum + kilobytes, 0) * 1_024),
    ...states.map((state) =>
      sample('vf_flower_agent_workers', { state }, workers.filter((one) => one.state === state).length),
    ),
    sample('vf_flower_agent_waiting_calls', {}, waiting),
  ]
}
