import { isLogged, log } from '../lib/log.ts'
import { since, step } from '../lib/steps.ts'
import type { Runner } from './apply.ts'
import { describe } from './describe.ts'
import type { Op, Outcome } from './op.ts'

/** Runs one operation as a step of the verb; at debug level a line says what was run, how long it took and what came of it. */
export function runLogged(runner: Runner, op: Op): Outcome {
  return step(op.do, () => {
    if (!isLogged('debug')) return runner.run(op)
    const command = describe(op)
    const started = performance.now()
    try {
      const outcome = runner.run(op)
      log.debug({ op: op.do, command, result: 'ok', outcome, ms: since(started) }, command)
      return outcome
    } catch (error) {
      const msg = error instanceof Error ? error.message : String(error)
      log.debug(
        { op: op.do, command, result: 'error', error: { msg }, ms: since(started) },
        `${command}: ${msg}`,
      )
      throw error
    }
  })
}
