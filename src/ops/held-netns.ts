/** Network namespaces that live without the path of their ADD: processes and mounts keep them. */
import { linkName, listFolder, readText } from '../sys/files.ts'
import { isAlive, type Owner } from './owner-netns.ts'

/**
 * True when nothing shows that the namespace of a record's owner lives: neither the path of the ADD nor a visible process or mount
 * leads to it. If the path leads nowhere, this reads every process of the node. So it is for calls that take something from
 * the owner for the sake of another container. `proc` is the folder of procfs.
 */
export function isGone(machine: Parameters<typeof isAlive>[0], owner: Owner, proc = '/proc'): boolean {
  // No namespace outlives a boot.
  if (owner.bootId !== machine.bootId()) return true
  if (isAlive(machine, owner)) return false
  for (const netns of pathsOf(owner.netnsId, proc)) if (isAlive(machine, { ...owner, netns })) return false
  return true
}

/**
 * Paths that lead to namespaces with this device and inode. `/proc/PID/ns/net` is a link to `net:[INODE]`; a mounted one
 * has that text as its root in mountinfo (proc_pid_mountinfo(5)).
 */
function* pathsOf(netnsId: string, proc: string): Iterable<string> {
  const wanted = `net:[${netnsId.split(':')[1] ?? ''}]`
  for (const line of (readText(`${proc}/self/mountinfo`) ?? '').split('\n')) {
    const [, , , root, mounted = ''] = line.split(' ')
    if (root === wanted) yield unescaped(mounted)
  }
  for (const pid of listFolder(proc)) {
    if (!/^\d+$/.test(pid)) continue
    const path = `${proc}/${pid}/ns/net`
    if (linkOf(path) === wanted) yield path
  }
}

/** mountinfo writes blanks and backslashes as octal numbers. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** Undefined for a process that ends meanwhile, and for one that we may not read. */
function linkOf(path: string): string | undefined {
  try {
    return linkName(path)
  } catch {
    return undefined
  }
}
