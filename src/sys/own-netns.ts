import { statSync } from 'node:fs'

/** The network namespace of the calling thread. */
export const own = '/proc/thread-self/ns/net'

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

/** True when `path` is the network namespace that this process runs in. */
export function isOwnNetns(path: string): boolean {
  const id = netnsIdAt(path)
  return id !== undefined && id === netnsIdAt(own)
}
