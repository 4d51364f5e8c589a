/** Processes and their children, from procfs. */
import { readdirSync, readFileSync } from 'node:fs'

/** A process and its children; empty for 0. */
export function family(pid: number): number[] {
  if (pid === 0) return []
  const children = readdirSync('/proc').flatMap((name) =>
    /^\d+$/.test(name) && parentOf(name) === pid ? [Number(name)] : [],
  )
  return [pid, ...children]
}

/** Undefined for a process that has ended meanwhile. */
function parentOf(pid: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1])
  } catch {
    return undefined
  }
}

/** The number of the process that traces this one; 0 if none does, or if it has ended. */
export function tracerOf(pid: number): number {
  try {
    return Number(/^TracerPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return 0
  }
}
