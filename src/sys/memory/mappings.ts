/** The mappings of a process, as procfs tells them. Pure. */

/** A range of addresses. */
export interface Mapping {
  readonly start: number
  /** Bytes. */
  readonly length: number
}

/**
 * The mappings of `executable` of which nothing can be lost: nobody can write to them, and no page of them was written to before that
 * (what the linker relocates). `smaps` is a text as /proc/PID/smaps has it (proc_pid_smaps(5)).
 */
export function untouchedMappings(smaps: string, executable: string): readonly Mapping[] {
  const found: Mapping[] = []
  let last: Mapping | undefined
  for (const line of smaps.split('\n')) {
    const [, start = '', end = '', path] =
      /^([0-9a-f]+)-([0-9a-f]+) (?:\S+ \S+ \S+ \d+ *)(\/.*)?$/.exec(line) ?? []
    if (start !== '') {
      const from = Number.parseInt(start, 16)
      const isOurs = path === executable && /^\S+ r-[x-]p /.test(line)
      last = isOurs ? { start: from, length: Number.parseInt(end, 16) - from } : undefined
    } else if (last !== undefined && /^Anonymous: +0 kB$/.test(line)) found.push(last)
  }
  return found
}
