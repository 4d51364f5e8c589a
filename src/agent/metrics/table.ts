/** The table of the agent's metrics: the text of a scrape is made of it, and so is a part of docs/metrics.md. */

interface Row {
  readonly kind: 'gauge' | 'counter' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}
const row = <const R extends Row>(one: R): R => one

/** Upper bounds of the time of a call, in seconds: a DEL of nothing takes a millisecond, one that waits for IPAM may take minutes. */
export const callBuckets = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 5, 30]

/** The agent's metrics by their names. */
export const agentMetrics = {
  vf_flower_agent_info: row({
    ...{ kind: 'gauge', labels: ['version', 'build'] },
    help: '1, with the version and the build of the agent',
  }),
  vf_flower_agent_start_time_seconds: row({
    ...{ kind: 'gauge', labels: [] },
    help: 'Time at which the agent began',
  }),
  vf_flower_agent_resident_memory_bytes: row({
    ...{ kind: 'gauge', labels: ['process'] },
    help: 'Memory that the supervisor and all workers occupy; pages of the program count in each',
  }),
  vf_flower_agent_workers: row({
    ...{ kind: 'gauge', labels: ['state'] },
    help: 'Workers: starting, free, busy, ending or killed',
  }),
  vf_flower_agent_waiting_calls: row({
    ...{ kind: 'gauge', labels: [] },
    help: 'Calls that wait for a worker',
  }),
  vf_flower_agent_calls_total: row({
    ...{ kind: 'counter', labels: ['plugin', 'verb', 'outcome'] },
    help: 'Calls that a worker took: answered, refused, unwanted (the shim left before its call) or abandoned (the shim died in the call)',
  }),
  vf_flower_agent_call_failures_total: row({
    ...{ kind: 'counter', labels: ['plugin', 'verb'] },
    help: 'Answered calls with an exit code other than 0',
  }),
  vf_flower_agent_call_duration_seconds: row({
    ...{ kind: 'histogram', labels: ['verb'] },
    help: 'Time of answered calls in the worker',
  }),
  vf_flower_agent_queue_duration_seconds: row({
    ...{ kind: 'histogram', labels: [] },
    help: 'Time that calls waited for a worker',
  }),
  vf_flower_agent_refusals_total: row({
    ...{ kind: 'counter', labels: ['reason'] },
    help: 'Calls that no worker served: those of living callers ran standalone',
  }),
  vf_flower_agent_fallbacks_total: row({
    ...{ kind: 'counter', labels: ['reason'] },
    help: 'Calls that were handed to no worker: those of living callers ran standalone',
  }),
  vf_flower_agent_worker_ends_total: row({
    ...{ kind: 'counter', labels: ['reason'] },
    help: 'Workers that ended: worn (replaced in time), crashed, killed for a reason, or left because of a reason',
  }),
} as const

/** The name of a metric of the agent. */
export type AgentMetric = keyof typeof agentMetrics
/** The labels of a metric. */
export type LabelsOf<N extends AgentMetric> = Readonly<
  Record<(typeof agentMetrics)[N]['labels'][number], string>
>
