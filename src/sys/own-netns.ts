import { type Stats, statSync } from 'node:fs'

/** The network namespace of the calling thread. */
export const own = '/proc/thread-self/ns/net'

let home: Stats | undefined

/** Device and inode of the namespace that this process runs in; looked at once, when no thread is away from it. */
export function hostStat(): Stats {
  home ??= statSync(own)
  return home
}

/**
 * Identity of the namespace at `path`; undefined when nothing can be found there: it is gone, or the path is one that
 * leads nowhere (too long, links in a circle). Who needs the namespace learns from opening it why it can't be had.
 */
export function netnsIdAt(path: string): string | undefined {
  try {
    const stat = statSync(path)
    return `${stat.dev}:${stat.ino}`
  } catch {
    return undefined
  }
}

/** True when `path` is the network namespace of the calling thread. */
export function isOwnNetns(path: string): boolean {
  const id = netnsIdAt(path)
  return id !== undefined && id === netnsIdAt(own)
}
