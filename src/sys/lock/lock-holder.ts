/** Finds the process that has a lock of flock(2), by /proc/locks (proc_locks(5)). Only a process that has waited in vain asks. */
import { fstatSync } from 'node:fs'
import { readText } from '../files.ts'

/**
 * The process that has locked the file, in words; undefined when /proc/locks names none. The process may be in another PID namespace,
 * or the file system may have other device numbers in procfs than fstat reports.
 */
export function lockHolder(fd: number, proc = '/proc'): string | undefined {
  try {
    const { dev, ino } = fstatSync(fd)
    const file = `${hex(majorOf(dev))}:${hex(minorOf(dev))}:${ino}`
    for (const line of (readText(`${proc}/locks`) ?? '').split('\n')) {
      // Such as `1: FLOCK  ADVISORY  WRITE 4711 00:19:1234 0 EOF`; a process that only waits has an arrow after its number.
      const [, kind, , , pid, at] = line.trim().split(/\s+/)
      if (kind === 'FLOCK' && at === file && pid !== undefined) return named(pid, proc)
    }
  } catch {
    // Without procfs the holder stays unknown.
  }
  return undefined
}

function named(pid: string, proc: string): string {
  const status = readText(`${proc}/${pid}/status`)
  // The process has ended, but a child still has its descriptor.
  if (status === undefined) return `a child of process ${pid}, which has ended`
  const field = (key: string) => status.split('\n').find((line) => line.startsWith(`${key}:\t`))
  const name = field('Name')?.slice(6) ?? '?'
  const isStopped = /\t[Tt]/.test(field('State') ?? '')
  return `process ${pid} ("${name}"${isStopped ? ', which is stopped' : ''})`
}

/** The major number of a 64-bit dev_t, as sys/sysmacros.h takes it apart. */
function majorOf(dev: number): number {
  return (Math.floor(dev / 2 ** 8) & 0xfff) + Math.floor(dev / 2 ** 44) * 2 ** 12
}

function minorOf(dev: number): number {
  return (
    (dev % 2 ** 8) +
    (Math.floor(dev / 2 ** 20) & 0xfff) * 2 ** 8 +
    (Math.floor(dev / 2 ** 32) & 0xfff) * 2 ** 20
  )
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0')
}
