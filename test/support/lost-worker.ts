// A call that a worker had when it died, as the shim has it repeated.
import { pluginPath } from '../../hack/lab/bed/plugins.ts'
import type { ExecResult, Lab } from '../../hack/lab/lab.ts'
import { lostWorker } from '../../src/agent/protocol.ts'
import type { ServedCall } from './served-calls.ts'

/** Executes the program under the name of the call, with the only argument that says so. */
export function repeated(lab: Pick<Lab, 'exec'>, { name, env, stdin }: ServedCall): Promise<ExecResult> {
  const program = `${pluginPath[0]}/vf-flower`
  return lab.exec(['/usr/bin/env', `--argv0=${name}`, program, lostWorker], { env, cleanEnv: true, stdin })
}
