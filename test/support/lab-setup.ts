// Boots the virtual machines of a test run, before the first test file of the project `lab`: one for each worker.
import type { TestProject } from 'vitest/node'
import { pluginPath } from '../../hack/lab/bed/plugins.ts'
import { kernel, kernelHeaders } from '../../hack/lab/kernel.ts'
import { bootLab, type Lab } from '../../hack/lab/lab.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Sockets of the running machines, none in the project `native`; test files claim one through `lab()` of test/support/lab.ts. */
    readonly labSockets: readonly string[] | undefined
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // `vitest list` starts no test.
  if (process.argv[2] === 'list') return async () => undefined
  // Before the boot, because the headers of an already booted kernel may be gone from the sources.
  await kernelHeaders()
  // Once, for all machines.
  await kernel()
  const count = Math.max(1, Number(project.config.maxWorkers))
  const labs = await Promise.all(Array.from({ length: count }, () => bootLab({ processors: 1 })))
  await Promise.all(labs.map(startAgent))
  project.provide(
    'labSockets',
    labs.map(({ socket }) => socket),
  )
  return async () => {
    await Promise.all(labs.map((lab) => lab.close()))
  }
}

/**
 * Starts an agent in a machine, for as long as the machine lives: calls of the plugins take the warm way here, and the other way in the
 * project `native`. VF_LAB_AGENT=0 leaves the agent out.
 */
async function startAgent(machine: Lab): Promise<void> {
  if (process.env.VF_LAB_AGENT === '0') return
  await machine.spawn([`${pluginPath[0]}/vf-agent`], { timeoutMs: 0 })
  await machine.must('until [ -S /run/vf-flower/agent.sock ]; do sleep 0.1; done')
}
