/** Calls of which the times are kept. */
const kept = 1_000

/** The times of the last calls of one kind. */
export class LastTimes {
  readonly #times = new Float64Array(kept)
  #count = 0

  add(milliseconds: number): void {
    this.#times[this.#count++ % kept] = milliseconds
  }

  /**
   * The times that these shares of the calls did not exceed, in milliseconds: the nearest rank.
   * @param shares above 0, 1 at most
   * @returns undefined before the first call
   */
  percentiles(shares: readonly number[]): readonly number[] | undefined {
    const sorted = this.#times.slice(0, Math.min(this.#count, kept)).sort()
    if (sorted.length === 0) return undefined
    return shares.map((share) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0)
  }
}
