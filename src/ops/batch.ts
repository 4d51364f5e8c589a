/** Operations that are handed to a Runner in one go: which, and what a log and the fault hook make of it. */
import { type FaultKind, faultPoint } from './fault.ts'
import { asError, runLogged } from './logged.ts'
import { isFlowFilterOp, type Op, type Outcome } from './op.ts'
import type { Runner } from './runner.ts'

/** Cuts a list into what is carried out at a time: operations of one kind that the runner takes several of, else each alone. */
export function batchesOf(runner: Runner, ops: readonly Op[]): Op[][] {
  const batches: Op[][] = []
  for (const op of ops) {
    const last = batches.at(-1)
    if (runner.runAll !== undefined && isFlowFilterOp(op) && last?.[0]?.do === op.do) last.push(op)
    else batches.push([op])
  }
  return batches
}

/**
 * Carries out one batch: what became of each, in its place. `done` hears of every operation that is to be taken back after a
 * failure, in order, with its place in the batch.
 *
 * Fault points are passed before the whole batch and after it. An errno before an operation leaves out that one, as a
 * refusal of the kernel does. A process that is killed before one has done nothing of the batch, after one all of it: what
 * is on its way in one datagram the kernel carries out whatever becomes of who sent it.
 */
export function runBatch(
  runner: Runner,
  kind: FaultKind,
  batch: readonly Op[],
  done: (op: Op, at: number) => void = () => undefined,
): (Outcome | Error)[] {
  const struck = batch.map(() => errorOf(() => faultPoint(kind, 'before')))
  const run = batch.filter((_, at) => struck[at] === undefined)
  const answers = runLogged(runner, run)
  const results = struck.map((error) => error ?? (answers.shift() as Outcome | Error))
  for (const [at, result] of results.entries()) {
    if (!(result instanceof Error) && result.existed !== true) done(made(batch[at] as Op, result), at)
  }
  return results.map((result, at) =>
    result instanceof Error
      ? result
      : (errorOf(() => faultPoint(kind, 'after', batch.length - 1 - at)) ?? result),
  )
}

/** A filter is taken back by its number: a search would go through those of all pods. */
function made(op: Op, { handle }: Outcome): Op {
  return op.do === 'steer.add' && handle !== undefined ? { ...op, handle } : op
}

/** Runs `action`. Returns the error that it throws. */
function errorOf(action: () => void): Error | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    return asError(error)
  }
}
