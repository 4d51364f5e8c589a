/**
 * The part of a call in which it waits for the kernel and for its IPAM program, by strace(1). In: the lines of strace. Out: milliseconds.
 * Traced calls are slower, so only these waits are taken from them: the rest is the time of calls without strace less the waits.
 */

/** Milliseconds of one traced call. */
export interface Waits {
  /** Inside of requests to the kernel by netlink: the kernel carries them out before the system call returns. */
  readonly kernel: number
  /** From the start of a program to its end, less what passed in a request meanwhile. */
  readonly ipam: number
}

/** System calls that `waitsOf` needs, for strace's option -e. */
export const TRACED = 'trace=sendto,sendmsg,clone,clone3,vfork,fork,execve,wait4,waitid'

/** Options of strace that make the lines that {@link waitsOf} reads. */
export const FORM = ['-ttt', '-T', '-yy', '-s', '64', '-e', TRACED] as const

type Span = readonly [from: number, to: number]

/** Reads the lines of one call, each with the number of its process in front (option -o with -f). */
export function waitsOf(lines: readonly string[]): Waits {
  const begun = new Map<string, { from: number; text: string }>()
  const kernel: Span[] = []
  const children = new Map<string, number>()
  const programs: Span[] = []
  for (const line of lines) {
    const parts = /^(?:(\d+)\s+)?(\d+\.\d+) (.*)$/.exec(line)
    if (parts === null) continue
    const [, pid = '', stamp = '', rest = ''] = parts
    const at = Number(stamp) * 1000
    const death = /^\+\+\+ (?:exited|killed)/.test(rest) ? pid : /^--- SIGCHLD.*si_pid=(\d+)/.exec(rest)?.[1]
    if (death !== undefined) endOf(death, at)
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(pid, { from: at, text: rest })
      continue
    }
    const took = Number(/<(\d+\.\d+)>$/.exec(rest)?.[1] ?? 0) * 1000
    const resumed = /^<\.\.\. \w+ resumed>/.test(rest) ? begun.get(pid) : undefined
    const from = resumed?.from ?? at
    const text = `${resumed?.text ?? ''}${rest}`
    const name = /^(?:<\.\.\. )?(\w+)/.exec(resumed?.text ?? rest)?.[1] ?? ''
    if (/^send/.test(name) && text.includes('NETLINK')) kernel.push([from, from + took])
    // Threads share the memory and get no end that anybody waits for.
    const child = / = (\d+)(?:<[^>]*>)? <[\d.]+>$/.exec(rest)?.[1]
    if (/^(clone|clone3|vfork|fork)$/.test(name) && !text.includes('CLONE_THREAD') && child !== undefined)
      children.set(child, from)
    if (/^wait/.test(name) && child !== undefined) endOf(child, from + took)
    if (/^waitid/.test(name)) {
      const waited = /si_pid=(\d+)/.exec(text)?.[1]
      if (waited !== undefined) endOf(waited, from + took)
    }
  }
  const both = lengthOf([...kernel, ...programs])
  return { kernel: lengthOf(kernel), ipam: both - lengthOf(kernel) }

  function endOf(child: string, at: number): void {
    const from = children.get(child)
    children.delete(child)
    if (from !== undefined) programs.push([from, at])
  }
}

/** The length of the union. */
function lengthOf(spans: readonly Span[]): number {
  let [length, end] = [0, Number.NEGATIVE_INFINITY]
  for (const [from, to] of [...spans].sort((left, right) => left[0] - right[0])) {
    length += Math.max(0, to - Math.max(from, end))
    end = Math.max(end, to)
  }
  return length
}
