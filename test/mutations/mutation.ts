/**
 * A mistake that somebody could make in src, and the test that has to notice it. The list of all of them is the measure of
 * the tests: run.ts makes each mistake in a copy of the tree and runs its test, which must fail.
 */
export interface Mutation {
  /** Begins with the folder of src. */
  readonly id: string
  readonly file: string
  readonly mistake: string
  /** Text that stands in the file, exactly once. */
  readonly old: string
  /** Text that stands there with the mistake. */
  readonly now: string
  readonly test: TestName
  /** `lab`: needs a virtual machine. */
  readonly tier: 'quick' | 'lab'
  /** The mistake is in a DEL, a GC or a rollback. */
  readonly undo?: true
}

/** The end of a test file's path, enough to tell it from all others, and words of the test's full title. */
export type TestName = readonly [file: string, title: string]
