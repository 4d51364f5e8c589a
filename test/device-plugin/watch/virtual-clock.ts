import type { Clock } from '../../../device-plugin/inventory/watch/window.ts'

/** A clock that stands still until it is told to go on. */
export class VirtualClock implements Clock {
  #now = 0
  #cpu = 0
  #timers: { at: number; action: () => void }[] = []

  now(): number {
    return this.#now
  }

  cpu(): number {
    return this.#cpu
  }

  after(delay: number, action: () => void): () => void {
    const timer = { at: this.#now + delay, action }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#timers.length
  }

  /** Takes processor time, with the time on the wall that goes with it; no timer fires, as in a program that is at work. */
  work(milliseconds: number): void {
    this.#cpu += milliseconds
    this.#now += milliseconds
  }

  /** Goes on, timer by timer, and lets promises settle after each. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    await settled()
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end).sort((left, right) => left.at - right.at)
      if (next === undefined) break
      this.#timers = this.#timers.filter((one) => one !== next)
      this.#now = Math.max(this.#now, next.at)
      next.action()
      await settled()
    }
    this.#now = Math.max(this.#now, end)
    await settled()
  }
}

async function settled(): Promise<void> {
  for (let count = 0; count < 8; count++) await Promise.resolve()
}
