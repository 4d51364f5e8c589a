/**
 * The messages between the supervisor and a worker: JSON packets on a socket of type SOCK_SEQPACKET, which the worker has as descriptor
 * 3. Both run the same build, so the form has no version.
 */
import type { WaitReason as CallWait } from '../lib/call/call.ts'

/** The reason for which a worker waits for others: those of a call, and its caller, which takes the answer. */
export type WaitReason = CallWait | 'caller'

/** From the supervisor. The packet of `take` carries the connection of a shim as its descriptor. */
export type Order =
  | { readonly do: 'take' }
  /** Ends the worker after its call. */
  | { readonly do: 'end' }

/** The end of a call, for counters and the log. */
export interface EndedCall {
  readonly did: 'ended'
  /** The name that the shim was called by; undefined if no call came. */
  readonly name?: string | undefined
  readonly verb?: string | undefined
  /**
   * `answered`: the shim has the answer. `refused`: nothing was done, and the shim goes standalone. `unwanted`: the shim was gone before
   * its call. `abandoned`: the shim died in the call.
   */
  readonly outcome: 'answered' | 'refused' | 'unwanted' | 'abandoned'
  /** The reason of a refusal, one of few texts: a label of a metric. */
  readonly reason?: string | undefined
  readonly exitCode?: number | undefined
  /** Time between READY and the end of the call. */
  readonly milliseconds: number
  /** Resident memory of the worker. */
  readonly kilobytes: number
  /** Set if the worker ends now, and the reason: the call has left something in the process. */
  readonly leaves?: string | undefined
}

/** From a worker. */
export type Report =
  /** The worker has loaded all it needs, and is free. */
  | { readonly did: 'start' }
  /** A call has come and is served. */
  | { readonly did: 'begin'; readonly name: string; readonly verb: string }
  | { readonly did: 'wait'; readonly on: WaitReason }
  /** The worker goes on after a wait, or has made progress. */
  | { readonly did: 'work' }
  /** The call is over, and the worker is free. */
  | EndedCall
