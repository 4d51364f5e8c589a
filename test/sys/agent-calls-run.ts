import { join } from 'node:path'
import { execa } from 'execa'

/** Runs agent-calls.ts in Bun; the results of its steps by name. */
export async function agentCalls(folder: string): Promise<Readonly<Record<string, unknown>>> {
  const { stdout } = await execa('sh', ['hack/bun.sh', 'test/sys/agent-calls.ts', folder], {
    cwd: join(import.meta.dirname, '../..'),
  })
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>
}
