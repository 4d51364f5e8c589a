/** Tables of measurements. */

/** The calls of a plugin in milliseconds, one entry a round. */
export interface Measured {
  readonly add: number[]
  readonly del: number[]
  readonly start: number[]
  /** Peak resident set of an ADD in KiB. */
  readonly memory: number[]
}

/** Prints columns: the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((cell, column) =>
    Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  for (const row of [head, ...rows]) {
    console.log(
      `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}`,
    )
  }
}

/** The middle of the sorted list, the upper one of two; NaN for an empty list. */
export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The least number of a list. */
export function minimum(list: readonly number[]): number {
  return Math.min(...list)
}

/** Milliseconds for a table, with one decimal. */
export function ms(value: number): string {
  return value.toFixed(1)
}

/** The ratio of two times, for a table. */
export function ratio(value: number, base: number): string {
  return (value / base).toFixed(2)
}
