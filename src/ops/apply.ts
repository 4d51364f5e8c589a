/** One loop that carries operations out and one rollback; nothing else in the program rolls back. */
import { CallerGone, isUnwanted } from '../lib/call/call.ts'
import type { OfKind } from '../lib/error-kind.ts'
import { batchesOf, runBatch } from './batch.ts'
import { commandLine } from './command-line.ts'
import type { FaultKind } from './fault.ts'
import { isNeededUntil, leavesOpen } from './gates.ts'
import { invert } from './invert.ts'
import type { Op, Outcome } from './op.ts'
import type { Runner } from './runner.ts'

/** An operation failed. `cause` is the kernel's error; `stuck` says what could not be taken back. */
export class ApplyError extends Error implements OfKind {
  readonly kind = 'failed-operation'
  readonly op: Op
  readonly stuck: readonly string[]

  constructor(op: Op, cause: unknown, stuck: readonly string[]) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`Cannot run "${commandLine(op)}": ${reason}`, { cause })
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

  /**
   * Carries out `ops` in order. Throws ApplyError at the first that fails, after everything done is taken back: those after
   * it too that were on their way to the kernel together with it. Asks before each whether the caller of an ADD is still there, and
   * throws CallerGone otherwise.
   */
  apply(ops: readonly Op[]): Outcome[] {
    return batchesOf(this.#runner, ops).flatMap((batch) => {
      this.#requireCaller()
      return this.#succeed(
        batch,
        runBatch(this.#runner, 'op', batch, (op) => this.#done.push(op)),
      )
    })
  }

  /** As `apply`, but a failure takes back only these operations; all done before stay done. */
  attempt(ops: readonly Op[]): Outcome[] {
    const inner = new Transaction(this.#runner)
    const outcomes = inner.apply(ops)
    this.#done.push(...inner.#done)
    return outcomes
  }

  /**
   * As `attempt` with each list in turn, an ApplyError in place of the outcomes of one that failed; but all at once where
   * the runner can. Then a list may fail because of what an earlier one had left until it was taken back: that one gets
   * another try by itself.
   */
  attemptEach(lists: readonly (readonly Op[])[]): (Outcome[] | ApplyError)[] {
    const all = lists.flat()
    const alone = (ops: readonly Op[]) => applyError(() => this.attempt(ops))
    // After a failure nothing more of its list is to be run.
    if (batchesOf(this.#runner, all).length !== 1) return lists.map(alone)
    this.#requireCaller()
    const done: (Op | undefined)[] = all.map(() => undefined)
    const results = runBatch(this.#runner, 'op', all, (op, at) => {
      done[at] = op
    })
    let wasInTheWay = false
    return lists.map((ops) => {
      const own = results.splice(0, ops.length)
      const inner = new Transaction(this.#runner)
      inner.#done.push(...done.splice(0, ops.length).flatMap((op) => op ?? []))
      const left = inner.#done.length
      const outcomes = applyError(() => inner.#succeed(ops, own))
      this.#done.push(...inner.#done)
      if (!(outcomes instanceof ApplyError)) return outcomes
      if (wasInTheWay) return alone(ops)
      wasInTheWay = left > 0
      return outcomes
    })
  }

  /** @throws CallerGone, after everything done is taken back, where nobody wants the changes any more */
  #requireCaller(): void {
    if (isUnwanted()) throw new CallerGone(this.rollback())
  }

  /** The outcomes. @throws ApplyError for the first that is none, after everything done is taken back */
  #succeed(ops: readonly Op[], results: readonly (Outcome | Error)[]): Outcome[] {
    return results.map((result, at) => {
      if (result instanceof Error) throw new ApplyError(ops[at] as Op, result, this.rollback())
      return result
    })
  }

  /** The place where the transaction is now: a later rollback() may leave done all that is before it. */
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
    const lines = runEach(this.#runner, 'undo', inverses)
    return lines.map((line) => `not undone: ${line}`)
  }
}

/**
 * Carries out every operation, going on after a failure: for teardown, where a rollback would put back what is to
 * go. Returns a line for each that failed.
 */
export function applyAll(runner: Runner, ops: readonly Op[]): string[] {
  return runEach(runner, 'op', ops)
}

/**
 * Runs each operation; a line for each that failed. After a move that failed, operations on the name that the interface
 * should have got are passed over: whatever has that name now is somebody else's. What is needed until something is done that failed
 * (gates.ts) stays.
 */
function runEach(runner: Runner, kind: FaultKind, ops: readonly Op[]): string[] {
  const errors: string[] = []
  const open: Op[] = []
  const strangers = new Set<string>()
  for (const batch of batchesOf(runner, ops)) {
    const [first] = batch
    if (first !== undefined && isOnLink(first) && strangers.has(`${first.side} ${first.name}`)) continue
    const needing = first === undefined ? undefined : open.find((one) => isNeededUntil(first, one))
    if (first !== undefined && needing !== undefined) {
      errors.push(`${commandLine(first)}: is needed until "${commandLine(needing)}" is done`)
      continue
    }
    for (const [at, result] of runBatch(runner, kind, batch).entries()) {
      const op = batch[at] as Op
      if (!(result instanceof Error)) continue
      if (leavesOpen(op)) open.push(op)
      if (op.do === 'link.move') strangers.add(`${op.to} ${op.newName}`)
      errors.push(`${commandLine(op)}: ${result.message}`)
    }
  }
  return errors
}

/** Runs `action`. Returns its value, or the ApplyError that it throws. */
function applyError<T>(action: () => T): T | ApplyError {
  try {
    return action()
  } catch (error) {
    if (error instanceof ApplyError) return error
    throw error
  }
}

function isOnLink(op: Op): op is Extract<Op, { do: 'link.set' | 'altname.add' | 'altname.del' }> {
  return op.do === 'link.set' || op.do === 'altname.add' || op.do === 'altname.del'
}
