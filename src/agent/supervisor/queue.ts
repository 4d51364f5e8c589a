import type { Verb } from './events.ts'

/** A shim that waits for a worker. */
export interface Waiting {
  readonly connection: number
  readonly verb: Verb
  /** Time of its coming. */
  readonly since: number
}

/** Shims that wait, in the order of their coming. */
export class Queue {
  readonly #waiting: Waiting[] = []

  get length(): number {
    return this.#waiting.length
  }

  /** Time of the coming of the one that waits longest; undefined when nobody waits. */
  get oldest(): number | undefined {
    return this.#waiting.length === 0 ? undefined : Math.min(...this.#waiting.map(({ since }) => since))
  }

  add(one: Waiting): void {
    this.#waiting.push(one)
  }

  /** Puts one in front of all others, whose turn it was already. */
  addFirst(one: Waiting): void {
    this.#waiting.unshift(one)
  }

  remove(connection: number): void {
    const at = this.#waiting.findIndex((one) => one.connection === connection)
    if (at >= 0) this.#waiting.splice(at, 1)
  }

  /** Takes the next one out. DELs go first: they give back what ADDs want. */
  next(): Waiting | undefined {
    const first = this.#waiting.findIndex(({ verb }) => verb === 'DEL')
    return this.#waiting.splice(Math.max(first, 0), 1)[0]
  }

  /** Takes all out that have come at this time or before. */
  takeUntil(time: number): readonly Waiting[] {
    const late = this.#waiting.filter(({ since }) => since <= time)
    for (const { connection } of late) this.remove(connection)
    return late
  }
}
