/**
 * Finds the process that has a lock: one of flock(2) by /proc/locks (proc_locks(5)), one on a byte by /proc/PID/fdinfo (proc_pid_fdinfo(5)),
 * because /proc/locks names nobody for open-file-description locks. Only a process that has waited in vain asks.
 */
import { fstatSync } from 'node:fs'
import { lastPart } from '../../lib/path.ts'
import { linkTarget, listFolder, readText } from '../files.ts'

/**
 * The process that has locked the file, in words; undefined when /proc/locks names none. The process may be in another PID namespace,
 * or the file system may have other device numbers in procfs than fstat reports.
 */
export function lockHolder(fd: number, proc = '/proc'): string | undefined {
  try {
    const file = fileOf(fd)
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

/**
 * The process that has locked a byte of the file, in words; undefined when none can be found: it may be in another PID namespace.
 * `fd` is a descriptor of the caller's own that has not locked the byte.
 */
export function byteHolder(fd: number, byte: number, proc = '/proc'): string | undefined {
  try {
    const file = fileOf(fd)
    const name = lastPart(linkTarget(`${proc}/self/fd/${fd}`) ?? '')
    // Such as `lock:\t1: OFDLCK ADVISORY  WRITE -1 00:19:1234 77 77`.
    const isIt = (line: string) => {
      const [, kind, , access, , at, from, to] = line.replace('lock:', '').trim().split(/\s+/)
      return kind === 'OFDLCK' && access === 'WRITE' && at === file && from === String(byte) && to === from
    }
    for (const pid of listFolder(proc).filter((one) => /^\d+$/.test(one)))
      for (const one of descriptors(`${proc}/${pid}/fd`, name))
        if ((readOrNone(`${proc}/${pid}/fdinfo/${one}`) ?? '').split('\n').some(isIt)) return named(pid, proc)
  } catch {
    // Without procfs the holder stays unknown.
  }
  return undefined
}

/** The descriptors of a process that are open on a file of this name. */
function descriptors(folder: string, name: string): string[] {
  try {
    return listFolder(folder).filter((fd) => lastPart(linkTarget(`${folder}/${fd}`) ?? '') === name)
  } catch {
    return [] // The process ends, or is not ours to look into.
  }
}

function readOrNone(path: string): string | undefined {
  try {
    return readText(path)
  } catch {
    return undefined
  }
}

/** Device and inode of a file, as procfs writes them. */
function fileOf(fd: number): string {
  const { dev, ino } = fstatSync(fd)
  return `${hex(majorOf(dev))}:${hex(minorOf(dev))}:${ino}`
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
