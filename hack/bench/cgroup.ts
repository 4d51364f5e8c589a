/** Groups of processes with limits, in either version of control groups. Needs root. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = '/sys/fs/cgroup'

/** Limits of a group. */
export interface Limits {
  /** Share of one processor, from 0 to 1 and above. */
  readonly processors?: number
  readonly bytes?: number
}

/** A group of processes. */
export interface Group {
  /** Puts a process, and what it starts later, into the group. */
  add(pid: number): void
  /** The most memory that all of them had at once, in bytes, with the kernel's part and the pages of files that they read first. */
  peak(): number
  /** Forgets the peak. On a kernel that can't, the peak stays that of the whole time. */
  reset(): void
  /** Number of processes that the kernel has killed for want of memory. */
  killed(): number
  /** Removes the group, which must be empty. */
  remove(): void
}

/** The version of control groups that has the memory controller, for the text of a table. */
export function groupVersion(): 'v1' | 'v2' {
  return existsSync(join(ROOT, 'memory')) ? 'v1' : 'v2'
}

/** Makes a group. @throws Error of the file system when the machine gives no such groups */
export function makeGroup(name: string, { processors, bytes }: Limits = {}): Group {
  return groupVersion() === 'v1' ? first(name, processors, bytes) : second(name, processors, bytes)
}

function first(name: string, processors: number | undefined, bytes: number | undefined): Group {
  const [memory, cpu] = [join(ROOT, 'memory', name), join(ROOT, 'cpu', name)]
  for (const folder of [memory, cpu]) mkdirSync(folder, { recursive: true })
  if (bytes !== undefined) writeFileSync(join(memory, 'memory.limit_in_bytes'), String(bytes))
  if (processors !== undefined)
    writeFileSync(join(cpu, 'cpu.cfs_quota_us'), String(Math.round(processors * 100_000)))
  return {
    add: (pid) => {
      for (const folder of [memory, cpu]) writeFileSync(join(folder, 'cgroup.procs'), String(pid))
    },
    peak: () => Number(readFileSync(join(memory, 'memory.max_usage_in_bytes'), 'utf8')),
    reset: () => writeFileSync(join(memory, 'memory.max_usage_in_bytes'), '0'),
    killed: () => counter(join(memory, 'memory.oom_control')),
    remove: () => {
      for (const folder of [memory, cpu]) rmdirSync(folder)
    },
  }
}

function second(name: string, processors: number | undefined, bytes: number | undefined): Group {
  const folder = join(ROOT, name)
  writeFileSync(join(ROOT, 'cgroup.subtree_control'), '+memory +cpu')
  mkdirSync(folder, { recursive: true })
  if (bytes !== undefined) writeFileSync(join(folder, 'memory.max'), String(bytes))
  if (processors !== undefined)
    writeFileSync(join(folder, 'cpu.max'), `${Math.round(processors * 100_000)} 100000`)
  return {
    add: (pid) => writeFileSync(join(folder, 'cgroup.procs'), String(pid)),
    peak: () => Number(readFileSync(join(folder, 'memory.peak'), 'utf8')),
    // A write resets the peak for readers of the same descriptor alone, so the peak stays that of the whole time here.
    reset: () => undefined,
    killed: () => counter(join(folder, 'memory.events')),
    remove: () => rmdirSync(folder),
  }
}

function counter(file: string): number {
  return Number(/^oom_kill (\d+)/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 0)
}
