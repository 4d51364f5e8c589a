/**
 * What is taken back in an order that has a meaning: a guard goes after what it guards, a reservation after the filters that it
 * keeps others off. Where the first of two can't be taken back, the second stays.
 */
import type { Op } from './op.ts'

/** True for a step back that leaves something open when it fails: a filter, or a setting that is 1. */
export function leavesOpen(op: Op): boolean {
  return op.do === 'steer.del' || (op.do === 'sysctl.set' && op.was === '1')
}

/** True when `op` takes away what others are safe by as long as `open` ({@link leavesOpen}) is not done. */
export function isNeededUntil({ do: kind }: Op, open: Op): boolean {
  if (kind === 'ports.release') return true
  return kind === (open.do === 'steer.del' ? 'localports.release' : 'guard.del')
}
