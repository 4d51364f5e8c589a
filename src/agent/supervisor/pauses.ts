import { times } from './events.ts'

/** Pauses between starts of workers that crash one after the other. The first crash makes none. */
export class Pauses {
  #crashes = 0
  #last = Number.NEGATIVE_INFINITY
  #until = Number.NEGATIVE_INFINITY

  /** No worker starts before this time. */
  get until(): number {
    return this.#until
  }

  /** Notes a crash; returns the pause that begins now, in milliseconds. */
  crashed(now: number): number {
    if (now - this.#last > times.calm) this.#crashes = 0
    this.#last = now
    this.#crashes++
    if (this.#crashes === 1) return 0
    const pause = Math.min(times.firstPause * 2 ** (this.#crashes - 2), times.longestPause)
    this.#until = now + pause
    return pause
  }
}
