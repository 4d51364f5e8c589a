/** Lines of the supervisor for the journal. A reader that takes nothing must not hold the supervisor up: what does not fit is dropped. */
import { writeSync } from 'node:fs'
import { poll, pollBits } from '../../sys/poll.ts'

/** Longest line, in characters: shorter than what a pipe or socket takes at once. */
const longest = 1_000

/** Writes a line to standard error. */
export function tell(line: string): void {
  try {
    const [bits = 0] = poll([{ fd: 2, events: pollBits.out }], 0)
    if ((bits & pollBits.out) === 0) return
    writeSync(2, `vf-agent: ${line.slice(0, longest)}\n`)
  } catch {
    // Nobody reads.
  }
}

const told = new Set<string>()

/** Writes a line that comes again and again only once in the life of the process. */
export function tellOnce(line: string): void {
  if (told.has(line)) return
  told.add(line)
  tell(line)
}
