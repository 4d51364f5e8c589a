// Boots the virtual machines of a test run, before the first test file of the project `lab`: one for each worker.
import type { TestProject } from 'vitest/node'
import { kernel, kernelHeaders } from '../../hack/lab/kernel.ts'
import { bootLab } from '../../hack/lab/lab.ts'

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
  project.provide(
    'labSockets',
    labs.map(({ socket }) => socket),
  )
  return async () => {
    await Promise.all(labs.map((lab) => lab.close()))
  }
}
