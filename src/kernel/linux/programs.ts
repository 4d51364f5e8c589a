/** Programs of others that a plugin runs: IPAM plugins. */
import { type ChildWaits, collect, startChild } from '../../sys/child/child.ts'
import type { Machine } from '../api/machine.ts'

/** The most bytes that a program may print. */
const maxOutput = 16 << 20

/** The surroundings of programs. */
export interface ProgramOptions extends ChildWaits {
  /** True: stderr is collected and comes with the end. Otherwise the program writes to this process's stderr at once. */
  readonly collectsStderr?: boolean
}

/** {@link Machine.startProgram} of this machine. */
export function programStarter({
  collectsStderr = false,
  ...waits
}: ProgramOptions = {}): Machine['startProgram'] {
  const stderr = collectsStderr ? 'collect' : 2
  return (file, stdin, env, held) => {
    try {
      const child = startChild({ file, stdin, env, held, stdout: 'collect', stderr })
      return {
        end() {
          const ended = collect(child, maxOutput, waits)
          const error = ended.isTooLong ? new OutputTooLong() : undefined
          return { ...ended, stderr: collectsStderr ? ended.stderr : undefined, error }
        },
      }
    } catch (error) {
      return { end: () => ({ status: null, signal: null, stdout: '', error: error as Error }) }
    }
  }
}

/** A program printed more than {@link maxOutput} bytes. */
class OutputTooLong extends RangeError {
  readonly code = 'ENOBUFS'

  constructor() {
    super(`printed more than ${maxOutput} bytes`)
  }
}
