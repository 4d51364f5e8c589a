/**
 * The order of undo steps. The guard is removed after the setting that it guards. The reservation of a port is removed after the
 * filters of that port. If the first of two such steps fails, the second step is left out.
 */
import type { Op } from './op.ts'

/** True for an undo step that leaves the node open when it fails: removing a filter, or resetting a setting that is 1. */
export function leavesOpen(op: Op): boolean {
  return op.do === 'steer.del' || (op.do === 'sysctl.set' && op.was === '1')
}

/** True when `op` takes away a protection that is needed until the step `open` ({@link leavesOpen}) is done. */
export function isNeededUntil({ do: kind }: Op, open: Op): boolean {
  if (kind === 'ports.release') return true
  return kind === (open.do === 'steer.del' ? 'localports.release' : 'guard.del')
}
