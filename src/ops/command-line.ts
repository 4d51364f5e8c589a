/** One `ip`, `tc` or `nft` line for each operation: what a log, an error and a report show, and what one can type. */
import type { Op, Side } from './op.ts'
import { kindOf } from './table/table.ts'

export { routeWords } from './table/addresses.ts'
export { flowFilterLine } from './table/filters.ts'

/** The operation as a command line. `pod:` in front of it means: inside the pod's network namespace. */
export function commandLine(op: Op): string {
  const lines = kindOf(op).line(op)
  const prefix = sideOfOp(op) === 'pod' ? 'pod:' : ''
  return typeof lines === 'string' ? `${prefix}${lines}` : lines.map((line) => `${prefix}${line}`).join('; ')
}

/** The side on which an operation runs. */
export function sideOfOp(op: Op): Side {
  const { side } = kindOf(op)
  return typeof side === 'string' ? side : side(op)
}
