/** One loop that carries operations out and one rollback; nothing else in the program rolls back. */
import { describe } from './describe.ts'
import { faultPoint } from './fault.ts'
import { runLogged } from './logged.ts'
import { invert, type Op, type Outcome } from './op.ts'

/**
 * Carries out one operation, whole or not at all; throws with the kernel's own words. What an outcome says to have
 * `existed` before is never taken back. Implemented by kernel/.
 */
export interface Runner {
  run(op: Op): Outcome
}

/** An operation failed. `cause` is the kernel's error; `stuck` says what could not be taken back. */
export class ApplyError extends Error {
  readonly op: Op
  readonly stuck: readonly string[]

  constructor(op: Op, cause: unknown, stuck: readonly string[]) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`Cannot run "${describe(op)}": ${reason}`, { cause })
    this.name = 'ApplyError'
    this.op = op
    this.stuck = stuck
  }
}

/** The error without what its rollback could not take back: for one that was led back in another way since. */
export function withoutStuck(error: unknown): unknown {
  return error instanceof ApplyError ? new ApplyError(error.op, error.cause, []) : error
}

/**
 * Operations done so far, in order. Shared by the steps of one verb, so that a failure after `apply` returned (IPAM, a
 * record that can't be written) takes back the same list.
 */
export class Transaction {
  readonly #runner: Runner
  readonly #done: Op[] = []

  constructor(runner: Runner) {
    this.#runner = runner
  }

  /** Carries out `ops` in order. Throws ApplyError at the first that fails, after everything done is taken back. */
  apply(ops: readonly Op[]): Outcome[] {
    return ops.map((op) => {
      try {
        faultPoint('op', 'before')
        const outcome = runLogged(this.#runner, op)
        if (outcome.existed !== true) this.#done.push(op)
        faultPoint('op', 'after')
        return outcome
      } catch (cause) {
        throw new ApplyError(op, cause, this.rollback())
      }
    })
  }

  /** As `apply`, but a failure takes back only these operations; all done before stay done. */
  attempt(ops: readonly Op[]): Outcome[] {
    const inner = new Transaction(this.#runner)
    const outcomes = inner.apply(ops)
    this.#done.push(...inner.#done)
    return outcomes
  }

  /** Where the transaction is now: what a later rollback() may leave done. */
  mark(): number {
    return this.#done.length
  }

  /**
   * Takes back everything done (since a mark), last first, and goes on after a failure. Returns a line for each that
   * failed.
   */
  rollback(mark = 0): string[] {
    const inverses = this.#done
      .splice(mark)
      .reverse()
      .flatMap((op) => invert(op) ?? [])
    const lines = runEach(inverses, (op) => {
      faultPoint('undo', 'before')
      runLogged(this.#runner, op)
      faultPoint('undo', 'after')
    })
    return lines.map((line) => `not undone: ${line}`)
  }
}

/**
 * Carries out every operation, going on after a failure: for teardown, where a rollback would put back what is to
 * go. Returns a line for each that failed.
 */
export function applyAll(runner: Runner, ops: readonly Op[]): string[] {
  return runEach(ops, (op) => {
    faultPoint('op', 'before')
    runLogged(runner, op)
    faultPoint('op', 'after')
  })
}

/**
 * Runs each operation; a line for each that failed. After a move that failed, operations on the name that the interface
 * should have got are passed over: whatever has that name now is somebody else's.
 */
function runEach(ops: readonly Op[], run: (op: Op) => void): string[] {
  const errors: string[] = []
  const strangers = new Set<string>()
  for (const op of ops) {
    if (isOnLink(op) && strangers.has(`${op.side} ${op.name}`)) continue
    try {
      run(op)
    } catch (error) {
      if (op.do === 'link.move') strangers.add(`${op.to} ${op.newName}`)
      errors.push(`${describe(op)}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return errors
}

function isOnLink(op: Op): op is Extract<Op, { do: 'link.set' | 'altname.add' | 'altname.del' }> {
  return op.do === 'link.set' || op.do === 'altname.add' || op.do === 'altname.del'
}
