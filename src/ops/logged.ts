import { isLogged, log } from '../lib/log/log.ts'
import { beginStep, since } from '../lib/log/steps.ts'
import { commandLine } from './command-line.ts'
import { isFlowFilterOp, type Op, type Outcome } from './op.ts'
import type { Runner } from './runner.ts'

/**
 * Runs a batch (batch.ts) as one step of the verb: what each operation came to, or its error. At debug level a line for each
 * says what was run, how long it took, with all that ran together with it, and what came of it.
 */
export function runLogged(runner: Runner, batch: readonly Op[]): (Outcome | Error)[] {
  const [first] = batch
  if (first === undefined) return []
  const end = beginStep(first.do)
  const started = performance.now()
  const results = run(runner, batch)
  if (isLogged('debug')) {
    const ms = since(started)
    for (const [at, op] of batch.entries()) tell(op, results[at], ms)
  }
  end(results.some((result) => result instanceof Error))
  return results
}

function run(runner: Runner, batch: readonly Op[]): (Outcome | Error)[] {
  try {
    if (runner.runAll !== undefined && batch.length > 1 && batch.every(isFlowFilterOp))
      return runner.runAll(batch)
    return batch.map((op) => runner.run(op))
  } catch (error) {
    return batch.map(() => asError(error))
  }
}

function tell(op: Op, result: Outcome | Error | undefined, ms: number): void {
  const command = commandLine(op)
  if (result instanceof Error) {
    const msg = result.message
    log.debug({ op: op.do, command, result: 'error', error: { msg }, ms }, `${command}: ${msg}`)
  } else log.debug({ op: op.do, command, result: 'ok', outcome: result, ms }, command)
}

/** A thrown value as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new TypeError(String(thrown))
}
