// Prints and judges what every fault table of the lab tests must show.
import { expect } from 'vitest'
import { type FaultReport, type FaultRow, faultTable, missedRows } from '../soak/faults.ts'

/**
 * Prints the table under `what`. Fails unless every case led back and, if all were run (`only` undefined), every step was hit before
 * and after, or `once` at least. `started` is Date.now() before the run.
 */
export function expectFaultTable(
  what: string,
  { rows, cases, retried, failures }: FaultReport,
  started: number,
  only: string | undefined,
  once = false,
): void {
  const seconds = Math.round((Date.now() - started) / 1000)
  const again = retried.map((name) => `not hit at the first try: ${name}`)
  console.log([`${what}: ${cases} cases in ${seconds} s`, ...faultTable(rows), ...again].join('\n'))
  // The message has the failures, because for a test that passes at its second try only the message is kept.
  expect(failures, failures.join('\n')).toEqual([])
  if (only !== undefined) return
  expect(missedRows(rows, once)).toEqual([])
}

/** The number of a verb's steps in the table whose point begins so: `op`, `file` or `ipam`. */
export function countOf(rows: readonly FaultRow[], verb: string, point: string): number {
  return rows.filter((row) => row.verb === verb && row.point.startsWith(point)).length
}
