/** The state of the agent, as its status socket tells it and `vfctl agent` shows it. */

/** Path of the socket that serves `/status` and `/metrics` by HTTP. */
export const statusSocketPath = '/run/vf-flower/agent-status.sock'

/** Calls of one verb. */
export interface VerbStatus {
  readonly verb: string
  /** Calls by outcome, see EndedCall in control.ts. */
  readonly outcomes: Readonly<Record<string, number>>
  /** Answered calls with an exit code other than 0. */
  readonly failed: number
  /** Of the last 1,000 answered calls, in milliseconds; absent before the first. */
  readonly p50?: number
  readonly p95?: number
  readonly p99?: number
}

/** One worker. */
export interface WorkerStatus {
  readonly pid: number
  readonly state: string
  /** Time in that state. */
  readonly seconds: number
  readonly calls: number
  /** Resident memory at the end of the last call. */
  readonly kilobytes: number
  /** The call that it serves. */
  readonly call?: string
  /** The reason for which the call waits. */
  readonly waits?: string
}

/** The whole state. */
export interface AgentStatus {
  /** `draining`: another agent has taken over, or the agent was asked to end. */
  readonly state: 'serving' | 'draining'
  readonly version: string
  readonly build: string
  readonly pid: number
  /** Time since the start. */
  readonly seconds: number
  readonly workers: readonly WorkerStatus[]
  readonly waiting: number
  readonly verbs: readonly VerbStatus[]
  /** Calls that ran standalone because a worker refused them, by reason. */
  readonly refusals: Readonly<Record<string, number>>
  /** Calls that ran standalone because the supervisor sent them away, by reason. */
  readonly fallbacks: Readonly<Record<string, number>>
  /** Workers that have ended, by reason. */
  readonly ends: Readonly<Record<string, number>>
  /** The reason for which the file of settings is not in use. */
  readonly settingsProblem?: string
}
