// Calls of a runtime that are served in one process, as a worker of the agent does, by the compiled driver.
import { basename } from 'node:path'
import type { ServedAnswer, ServedCall } from '../../hack/lab/driver/calls-guest.ts'
import { DRIVER } from '../../hack/lab/driver/client.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'

export type { ServedAnswer, ServedCall } from '../../hack/lab/driver/calls-guest.ts'

/** Serves calls one after the other in one process. */
export async function serveAll(
  lab: Pick<Lab, 'exec'>,
  calls: readonly ServedCall[],
): Promise<ServedAnswer[]> {
  const { code, stdout, stderr } = await lab.exec([DRIVER, 'calls'], { stdin: JSON.stringify(calls) })
  if (code !== 0) throw new Error(`The driver ended with code ${code}: ${stderr}`)
  return JSON.parse(stdout) as ServedAnswer[]
}

/** A machine that hands the calls of plugins to `serve`. It looks for no file: plugins are found in the first folder. */
export function handingOver(lab: Lab, serve: (call: ServedCall) => Promise<ExecResult>): Lab {
  return {
    ...lab,
    exec: ([file = '', ...args], { env = {}, stdin = '' } = {}) =>
      file === 'test'
        ? Promise.resolve(ended(args[1]?.startsWith('/usr/lib/cni') === true ? 1 : 0, '', ''))
        : serve({ name: basename(file), env, stdin: String(stdin) }),
  }
}

/** The outcome of a program. */
export function ended(code: number, stdout: string, stderr: string): ExecResult {
  return { code, signal: null, stdout, stderr, stdoutBytes: new TextEncoder().encode(stdout) }
}
