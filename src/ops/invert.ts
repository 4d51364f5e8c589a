import type { Op } from './op.ts'
import { kindOf } from './table/table.ts'

/** The operation that takes `op` back; undefined for a kind that has none: the table (table/) has the reason. */
export function invert(op: Op): Op | undefined {
  const { undo } = kindOf(op)
  if (typeof undo === 'function') return undo(op)
  return typeof undo === 'string' ? ({ ...op, do: undo } as Op) : undefined
}
