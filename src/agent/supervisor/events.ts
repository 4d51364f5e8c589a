/** Events that come to the supervisor, and its actions: the interface between its decisions (decisions.ts) and the system calls (loop.ts). */
import type { Report } from '../control.ts'

/** The verbs that a shim announces. */
export type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS'

/** Something that happened. Connections and workers have numbers that are never used again. */
export type Event =
  /** A shim has said which verb it has. */
  | { readonly is: 'hello'; readonly connection: number; readonly verb: Verb }
  /** A shim that waits has closed its connection. */
  | { readonly is: 'left'; readonly connection: number }
  | { readonly is: 'report'; readonly worker: number; readonly report: Report }
  /** The process of a worker has ended, or could not be started. */
  | { readonly is: 'exit'; readonly worker: number }
  /** A worker did not take the connection that it was to be handed. */
  | { readonly is: 'unhanded'; readonly connection: number; readonly worker: number }
  /** The shim of a worker's call has ended, and the call has not. */
  | { readonly is: 'shim gone'; readonly worker: number }
  /** New settings: workers with the old ones end after their calls. */
  | { readonly is: 'limits'; readonly limits: Limits }
  /** No connection comes any more: what waits is served, then all workers end. */
  | { readonly is: 'drain' }
  /** Time has gone by. */
  | { readonly is: 'time' }

/** The reason for which a shim is sent away; a label of a metric. */
export type Fallback =
  | 'no worker is free'
  | 'workers do not start'
  | 'the agent stops'
  | 'too many connections'
  | 'another build'
  /** Nobody sent it away: it has gone on by itself, or was ended, before a worker was free. */
  | 'the shim was gone'

/** The reason for which a worker is ended by SIGKILL; a label of a metric. */
export type KillReason =
  | 'its caller was gone'
  | 'no progress'
  | 'it did not start'
  | 'it did not end'
  | 'it took no call'

/** Something to do. */
export type Action =
  /** Tells the shim that it is in the queue. */
  | { readonly do: 'wait'; readonly connection: number }
  /** Sends the shim away, and closes the connection. */
  | { readonly do: 'standalone'; readonly connection: number; readonly reason: Fallback }
  | { readonly do: 'hand'; readonly connection: number; readonly worker: number }
  | { readonly do: 'start'; readonly worker: number }
  | { readonly do: 'end'; readonly worker: number }
  | { readonly do: 'kill'; readonly worker: number; readonly reason: KillReason }
  /** A worker has ended by itself, unasked; nothing is started for `milliseconds`. */
  | { readonly do: 'crashed'; readonly worker: number; readonly milliseconds: number }
  /** All is done: the supervisor ends. */
  | { readonly do: 'finish' }

/** The settings of the decisions. Times are in milliseconds. */
export interface Limits {
  /** Workers that are kept when there is nothing to do. */
  readonly least: number
  /** Workers at most. */
  readonly most: number
  /** Processors: so many workers can work at one time. */
  readonly processors: number
  /** Calls after which a worker is replaced. */
  readonly calls: number
  /** Resident memory with which a worker is replaced after its call, in KiB. */
  readonly kilobytes: number
}

/** Times of the decisions, in milliseconds. */
export const times = {
  /** Calls wait, and all workers wait, for so long: another worker starts. */
  crowded: 50,
  /** A worker that has reported nothing for so long counts as waiting. */
  silent: 500,
  /** Longest wait of a call while no further worker can start. */
  patience: 1_000,
  /** An IPAM program that runs for so long is no reason to wait. */
  hung: 500,
  /** Longest wait of a call while all workers that there may be wait for such programs. */
  hopeless: 100,
  /** Longest wait of a call in any case: before the shim itself gives up (READY_MILLISECONDS). */
  longest: 8_000,
  /** A worker that got a connection and says nothing of a call for so long is ended: its shim goes on by itself then. */
  deaf: 3_000,
  /** A start that takes so long holds no other start back, and no call waits for it for long. */
  slowStart: 2_000,
  /** A worker above the least that has been free for so long ends. */
  idle: 60_000,
  /** A call whose shim is gone may go on for so long. The DEL that follows waits for its lock for twice that time. */
  orphaned: 15_000,
  /** A call may go on for so long without a report. */
  stuck: 300_000,
  /** Longest time for a start, and for an end. */
  start: 30_000,
  end: 10_000,
  /** A supervisor that is to end waits for so long for a worker that it has killed. */
  killed: 5_000,
  /** After so long without a crash, the next one counts as the first. */
  calm: 300_000,
  /** Pause after the second crash; it doubles with each, up to the longest. */
  firstPause: 500,
  longestPause: 60_000,
} as const
