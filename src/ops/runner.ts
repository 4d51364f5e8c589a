import type { FlowFilterOp, Op, Outcome } from './op.ts'

/**
 * Carries out one operation, whole or not at all; throws with the kernel's own words. What an outcome says to have
 * `existed` before is never taken back. Implemented by kernel/.
 */
export interface Runner {
  run(op: Op): Outcome
  /**
   * Several operations, all additions or all removals, in their order. Each runs, whatever became of the others: the answer is
   * its outcome, or the error that `run` would have thrown. Without it each is run by itself, up to the first that fails.
   */
  runAll?(ops: readonly FlowFilterOp[]): (Outcome | Error)[]
}
