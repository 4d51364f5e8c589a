/** The last resort: an error that no code has caught. */
import type { PluginLog } from './log.ts'

/** The process, as far as its end goes. */
export interface Program {
  on(event: 'uncaughtException' | 'unhandledRejection', listener: (error: unknown) => void): unknown
  exit(code: number): void
}

/**
 * Ends the process with exit code 1 after an error that nobody has caught, with one line of the log. Nobody knows which half of a change
 * was made by then; kubelet starts the container again, and the files and sockets of this process are taken over. Errors of one look
 * at the node do not come here.
 */
export function endOnUncaughtErrors(
  log: Pick<PluginLog, 'error'>,
  code: number,
  program: Program = process,
): void {
  const end = (kind: string) => (error: unknown) => {
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error)
    log.error(`The process ends: ${kind}: ${words}`)
    program.exit(code)
  }
  program.on('uncaughtException', end('an error was not caught'))
  program.on('unhandledRejection', end('a rejection was not handled'))
}
