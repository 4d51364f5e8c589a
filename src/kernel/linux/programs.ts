/** Programs of others that a plugin runs: IPAM plugins. */
import { isStderrCollected, leaveWithoutCaller } from '../../lib/call/call.ts'
import { collect, startChild } from '../../sys/child/child.ts'
import type { ProgramEnd } from '../api/machine.ts'

/** The most bytes that a program may print. */
const maxOutput = 16 << 20

/** See `startProgram` of the machine. */
export function startProgram(
  file: string,
  stdin: string,
  env: Readonly<Record<string, string>>,
  held?: number,
): { end(): ProgramEnd } {
  const isCollected = isStderrCollected()
  try {
    const child = startChild({
      file,
      stdin,
      env,
      held,
      stdout: 'collect',
      stderr: isCollected ? 'collect' : 2,
    })
    return {
      end() {
        const { status, signal, stdout, stderr, isTooLong } = collect(
          child,
          maxOutput,
          undefined,
          // A process of one call dies with its caller, and the program goes on. A worker has to notice.
          isCollected
            ? () => leaveWithoutCaller('an IPAM plugin still runs, and its caller is gone')
            : undefined,
        )
        const error = isTooLong ? new OutputTooLong() : undefined
        return { status, signal, stdout, stderr: isCollected ? stderr : undefined, error }
      },
    }
  } catch (error) {
    return { end: () => ({ status: null, signal: null, stdout: '', error: error as Error }) }
  }
}

/** A program printed more than {@link maxOutput} bytes. */
class OutputTooLong extends RangeError {
  readonly code = 'ENOBUFS'

  constructor() {
    super(`printed more than ${maxOutput} bytes`)
  }
}
