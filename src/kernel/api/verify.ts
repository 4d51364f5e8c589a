/** CHECK's half that looks at the kernel: each operation of an ADD against what is there now. */
import type { Op } from '../../ops/op.ts'

/** An operation that was carried out. `handle` and `where` are what its outcome said of a filter. */
export interface DoneOp {
  readonly op: Op
  readonly handle?: number | undefined
  readonly where?: 'nic' | 'host'
}

/** Something that is not as an operation left it. */
export interface Difference {
  /** The place of the operation in the list. */
  readonly at: number
  /** The part of it that is meant, if it has several; absent = all of it. */
  readonly expected?: string
  /** A line as of `tc`, `ip`, `nft`, or a sentence for what no such line shows. */
  readonly found: string
  /** The exact difference, where the lines alone leave one to search. */
  readonly details?: string
}

/** The part of the kernel that CHECK asks. */
export interface VerifyKernel {
  /**
   * Differences of the node from what these operations left: for every kind of operation, by one table (kernel/inspect/verify.ts).
   * Filters are asked for by their handles, with every key, action and byte. The table has the reason for each kind that leaves
   * nothing to look at.
   */
  verify(done: readonly DoneOp[]): readonly Difference[]
}
