import { spawnSync } from 'node:child_process'
import { maxOutput, type Spawn } from '../../src/cni/spawn.ts'

/** Runs a child to its end in Node, which can't start one and read its output later in a synchronous program. */
export const spawnInNode: Spawn = (file, stdin, env, held) => {
  const { status, signal, stdout, error } = spawnSync(file, [], {
    input: stdin,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'inherit', ...(held === undefined ? [] : [held])],
    encoding: 'utf8',
    maxBuffer: maxOutput,
  })
  // Node reports EPIPE for a child that leaves its input unread. The program hands the input over in a file and reports nothing.
  const failed = error !== undefined && (error as { code?: string }).code !== 'EPIPE'
  return { end: () => ({ status, signal, stdout: stdout ?? '', error: failed ? error : undefined }) }
}
