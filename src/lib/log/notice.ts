import { log } from './log.ts'

/** One line for the operator: a warning in the log, or plainly on stderr, which runtimes keep in their own log. Never throws. */
export function notice(line: string): void {
  log.warn({}, line)
}
