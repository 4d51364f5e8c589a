/** Settings of the front end. */
import type { KubeletObserver } from './observer.ts'

/** Settings of {@link openKubeletFrontEnd}. */
export interface KubeletSettings {
  /** `/var/lib/kubelet`. */
  readonly kubelet: string
  /** A part of socket names that tells two processes on one node apart; '' for none. */
  readonly instance: string
  /** CDI names go into annotations for runtimes that read no CDI field, instead of into the field. Default false. */
  readonly cdiAnnotations?: boolean
  readonly observer?: KubeletObserver
  /** Times other than the usual ones, for tests. */
  readonly timings?: Partial<Timings>
}

/** Times, all in milliseconds. */
export interface Timings {
  /** Changes of a folder within this time are one. */
  readonly settle: number
  /** The folders are looked at so often, whatever notifications say; and so often while there are none. */
  readonly poll: number
  readonly pollMissing: number
  /** A registration without a stream is tried again after this time: kubelet takes up to 10 s to connect. */
  readonly streamWait: number
  /** Bounds of the time between two attempts. */
  readonly backoffMin: number
  readonly backoffMax: number
  /** kubelet's answer to Register, which comes after it has connected. */
  readonly register: number
  /** Calls that go on at the end may take this time. */
  readonly stop: number
}

/** The usual times. */
export const usualTimings: Timings = {
  settle: 30,
  poll: 30_000,
  pollMissing: 2_000,
  streamWait: 10_000,
  backoffMin: 1_000,
  backoffMax: 60_000,
  register: 15_000,
  stop: 3_000,
}

/**
 * Time until the next attempt, in milliseconds, within the bounds: doubles with each of `failures`, and is spread by a quarter to both
 * sides so that the pools of a node do not call at once. `random` is in [0, 1).
 */
export function backoff(
  failures: number,
  { backoffMin, backoffMax }: Timings,
  random: () => number = Math.random,
): number {
  const middle = backoffMin * 2 ** Math.min(failures, 30)
  return Math.min(backoffMax, Math.max(backoffMin, middle * (0.75 + 0.5 * random())))
}
