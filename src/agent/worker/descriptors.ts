/** The number of files that a worker may have open. */
import { readFileSync } from 'node:fs'

/** A call and the programs that it starts have some dozens of files open at most. */
const least = 128

/**
 * Undefined if a worker may have enough files open; else a refusal of every call, which then runs by itself, with the limits of its caller.
 * A call that meets EMFILE in its middle would fail.
 */
export function tooFewDescriptors(limits = readFileSync('/proc/self/limits', 'utf8')): string | undefined {
  const [, soft = ''] = /^Max open files\s+(\S+)/m.exec(limits) ?? []
  return soft !== 'unlimited' && Number(soft) < least
    ? `the agent may have ${soft} files open: fewer than ${least}`
    : undefined
}
