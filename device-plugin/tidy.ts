/** Gives memory back after work, so that a burst of work does not leave the process as large as the burst was. */
import type { Clock } from './inventory/watch/window.ts'

/** Lengths in milliseconds. */
interface Times {
  /** From work to the deed: work that comes in a burst is worth one. */
  readonly delay: number
  /** From one deed to the next at least. */
  readonly pause: number
}

/** A scan leaves megabytes of texts that the engine does not count, so that garbage of several scans would lie about. */
const ofGarbage: Times = { delay: 50, pause: 300 }
/** Pages come back as they are needed, which costs more the oftener they leave. */
const ofPages: Times = { delay: 1_000, pause: 10_000 }

/** What can be done about memory. */
export interface Deeds {
  /** Collects garbage. */
  collect(): void
  /** Gives back memory that comes back as it is needed. */
  giveBack(): void
}

/** See the head of this file. A process without work does nothing here. */
export class Tidy {
  readonly #deeds: readonly Later[]

  constructor(clock: Pick<Clock, 'now' | 'after'>, { collect, giveBack }: Deeds) {
    this.#deeds = [new Later(clock, ofGarbage, collect), new Later(clock, ofPages, giveBack)]
  }

  /** Work was done. */
  soon(): void {
    for (const deed of this.#deeds) deed.soon()
  }

  /** Nothing is done any more. */
  stop(): void {
    for (const deed of this.#deeds) deed.stop()
  }
}

/** One deed, done later and not too often. */
class Later {
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #times: Times
  readonly #action: () => void
  #doneAt = Number.NEGATIVE_INFINITY
  #callOff: (() => void) | undefined
  #isStopped = false

  constructor(clock: Pick<Clock, 'now' | 'after'>, times: Times, action: () => void) {
    this.#clock = clock
    this.#times = times
    this.#action = action
  }

  soon(): void {
    if (this.#isStopped) return
    const { delay, pause } = this.#times
    const wait = Math.max(delay, this.#doneAt + pause - this.#clock.now())
    this.#callOff ??= this.#clock.after(wait, () => {
      this.#callOff = undefined
      this.#doneAt = this.#clock.now()
      this.#action()
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#callOff?.()
  }
}
