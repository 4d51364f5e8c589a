import type { Owner } from './record.ts'

/** What of a machine is needed to find a namespace again; `id` is device and inode. */
interface Namespaces<N extends { readonly id: string; close(): void }> {
  /** Throws when there is no namespace at `path`. */
  openNetns(path: string): N
  bootId(): string
}

/**
 * Opens the namespace that a record's owner had: at the path of this call or at that of the ADD, and only if it is the
 * same one, because paths are recycled. Without an owner whatever is at `path`. Undefined when it is gone. The caller
 * closes it.
 */
export function openOwnersNetns<N extends { readonly id: string; close(): void }>(
  machine: Namespaces<N>,
  owner: Owner | undefined,
  path: string,
): N | undefined {
  if (owner !== undefined && owner.bootId !== machine.bootId()) return undefined
  for (const candidate of new Set([path, owner?.netns ?? ''])) {
    if (candidate === '') continue
    const opened = tryOpen(machine, candidate)
    if (opened === undefined) continue
    if (owner === undefined || opened.id === owner.netnsId) return opened
    opened.close()
  }
  return undefined
}

/** True when the namespace that a record's owner had is there. */
export function isAlive<N extends { readonly id: string; close(): void }>(
  machine: Namespaces<N>,
  owner: Owner,
): boolean {
  const opened = openOwnersNetns(machine, owner, '')
  opened?.close()
  return opened !== undefined
}

function tryOpen<N extends { readonly id: string; close(): void }>(
  machine: Namespaces<N>,
  path: string,
): N | undefined {
  try {
    return machine.openNetns(path)
  } catch {
    return undefined // gone, or no namespace any more
  }
}
