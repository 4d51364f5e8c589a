/** Gathers changes into windows, and keeps scans apart. Pure but for its clock. */
import { type Change, type Changes, Tally } from './change.ts'

/** Time, as a parameter, so that tests need not wait. All values are milliseconds. */
export interface Clock {
  /** A clock that nobody sets. */
  now(): number
  /** Processor time that this process has used. */
  cpu(): number
  /** Runs `action` after at least `delay`; the result calls it off. */
  after(delay: number, action: () => void): () => void
}

/** Lengths in milliseconds. */
export interface WindowTimes {
  /** A window closes when no change has come for so long, 100 by default. */
  readonly quiet: number
  /** A window is open for at most so long, 250 by default. */
  readonly longest: number
  /** A storm of changes: after a scan comes a pause of twice the processor time that the scan took, but at most so long; 500 by default. */
  readonly longestPause: number
  /** Time from one scan to the next without a change: at least 60,000, at most 900,000 by default. */
  readonly shortestPeriod: number
  readonly longestPeriod: number
}

/** The default lengths. */
export const windowTimes: WindowTimes = {
  quiet: 100,
  longest: 250,
  longestPause: 500,
  shortestPeriod: 60_000,
  longestPeriod: 900_000,
}

/**
 * Periodic scans take at most this part of one processor, unless `longestPeriod` allows no longer period. What a scan leaves to the
 * collector of garbage is not counted, and an idle process takes a thousandth without any scan.
 */
const periodicShare = 0.00025

/** Milliseconds from a scan that failed to the next one without a change; each failure in a row doubles it, up to the usual period. */
const firstRetry = 1_000

/** Collaborators of a window. */
export interface WindowOptions {
  readonly clock: Clock
  readonly times?: Partial<WindowTimes>
  /** Scans. Never called again before the promise is settled. */
  readonly onChange: (changes: Changes) => void | Promise<void>
  /** onChange has thrown. The next call follows soon, whether a change comes or not: devices may have come that no scan has seen. */
  readonly onFailure: (error: unknown) => void
}

/**
 * Windows of changes. The first change opens a window, more changes extend it, then onChange gets them all at once. Changes that come
 * while onChange is at work make one more window. Takes the same memory for any number of changes.
 */
export class Windows {
  readonly #options: WindowOptions
  readonly #times: WindowTimes
  readonly #tally = new Tally()
  #opened: number | undefined
  #due = 0
  #pauseEnd = Number.NEGATIVE_INFINITY
  #period: number
  #isRunning = false
  #isClosed = false
  #callOff: (() => void) | undefined
  #callOffPeriod: (() => void) | undefined
  #runs = 0
  #failures = 0
  #failuresInRow = 0

  constructor(options: WindowOptions) {
    this.#options = options
    this.#times = { ...windowTimes, ...options.times }
    this.#period = this.#times.shortestPeriod
    this.#startPeriod()
  }

  /** Scans so far, those of them that failed, and the time in milliseconds to the next one without a change. */
  get stats(): { readonly runs: number; readonly failures: number; readonly period: number } {
    return { runs: this.#runs, failures: this.#failures, period: this.#period }
  }

  add(change: Change): void {
    if (this.#isClosed) return
    this.#tally.add(change)
    const now = this.#options.clock.now()
    this.#opened ??= now
    this.#due = Math.max(
      Math.min(this.#opened + this.#times.longest, now + this.#times.quiet),
      this.#pauseEnd,
    )
    if (!this.#isRunning && this.#callOff === undefined) this.#wait(now)
  }

  close(): void {
    this.#isClosed = true
    this.#callOff?.()
    this.#callOffPeriod?.()
  }

  // One timer for a window: changes move the end, and the timer looks at it when it fires.
  #wait(now: number): void {
    this.#callOff = this.#options.clock.after(Math.max(0, this.#due - now), () => {
      this.#callOff = undefined
      const later = this.#options.clock.now()
      if (later < this.#due) this.#wait(later)
      else void this.#run()
    })
  }

  async #run(): Promise<void> {
    const { clock, onChange, onFailure } = this.#options
    this.#isRunning = true
    this.#opened = undefined
    this.#callOffPeriod?.()
    const before = clock.cpu()
    try {
      await onChange(this.#tally.take())
      this.#failuresInRow = 0
    } catch (error) {
      this.#failures++
      this.#failuresInRow++
      onFailure(error)
    }
    this.#runs++
    this.#isRunning = false
    const cost = clock.cpu() - before
    const { longestPause, shortestPeriod, longestPeriod } = this.#times
    const now = clock.now()
    this.#pauseEnd = now + Math.min(longestPause, 2 * cost)
    const period = Math.min(longestPeriod, Math.max(shortestPeriod, cost / periodicShare))
    const retry = this.#failuresInRow === 0 ? period : firstRetry * 2 ** Math.min(this.#failuresInRow - 1, 30)
    this.#period = Math.min(period, retry)
    if (this.#isClosed) return
    this.#startPeriod()
    if (this.#tally.isEmpty) return
    this.#due = Math.max(this.#due, this.#pauseEnd)
    this.#wait(now)
  }

  #startPeriod(): void {
    this.#callOffPeriod = this.#options.clock.after(this.#period, () =>
      this.add({ kind: 'timer', subject: 'periodic scan' }),
    )
  }
}
