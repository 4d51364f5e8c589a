import { type Stats, statSync } from 'node:fs'

/** The network namespace of the calling thread. */
export const own = '/proc/thread-self/ns/net'

let home: Stats | undefined

/** Device and inode of the namespace that this process runs in; read once, while no thread is in another namespace. */
export function hostStat(): Stats {
  home ??= statSync(own)
  return home
}

/**
 * Identity of the namespace at `path`; undefined when nothing can be found there: the namespace is gone, or the path leads
 * nowhere (too long, links in a circle). A caller that needs the namespace learns the reason by opening it.
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
