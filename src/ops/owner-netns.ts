/** The attachment that owns the device or the ports of a record. */
export interface Owner {
  readonly containerID: string
  readonly ifname: string
  readonly network: string
  /** CNI_NETNS as given; only a hint, paths are recycled. */
  readonly netns: string
  /** Device and inode of the namespace. The kernel gives them to the next one once the namespace is gone. */
  readonly netnsId: string
  /** SO_NETNS_COOKIE of the namespace, valid within one boot; absent where the kernel or a former version had none. */
  readonly netnsCookie?: string | undefined
  readonly bootId: string
}

/** The marks that tell one network namespace from another. */
export interface NamespaceMarks {
  /** Device and inode of its nsfs file. */
  readonly id: string
  /** SO_NETNS_COOKIE; undefined where the kernel has none. */
  readonly cookie?: string | undefined
  /** True for the namespace that this process runs in. */
  readonly isHost?: boolean
}

/** The part of a machine that finds a namespace again. */
interface Namespaces<N extends NamespaceMarks & { close(): void }> {
  /** Throws when there is no namespace at `path`. */
  openNetns(path: string): N
  bootId(): string
}

/** The marks of a namespace as fields of a record's owner. */
export function ownerMarks({ id, cookie }: NamespaceMarks): Pick<Owner, 'netnsId' | 'netnsCookie'> {
  return cookie === undefined ? { netnsId: id } : { netnsId: id, netnsCookie: cookie }
}

/**
 * True when `netns` is the namespace of a record's owner, in the same boot. The kernel reuses an inode as soon as its namespace is
 * gone, so the cookie decides where both sides have one. A record without a cookie never means the host's namespace,
 * because the path of a dead process can lead there.
 */
export function isOwnersNetns(
  { netnsId, netnsCookie }: Pick<Owner, 'netnsId' | 'netnsCookie'>,
  netns: NamespaceMarks,
): boolean {
  if (netnsId !== netns.id) return false
  if (netnsCookie === undefined) return netns.isHost !== true
  return netns.cookie === undefined || netnsCookie === netns.cookie
}

/** True when both are the same living namespace; false without a second one. */
export function isSameNetns(one: NamespaceMarks, other: NamespaceMarks | undefined): boolean {
  return other !== undefined && one.id === other.id && one.cookie === other.cookie
}

/**
 * Opens the namespace of a record's owner, at the path of this call or at the path of the ADD. Paths are recycled, so the marks must
 * match too. Without an owner, opens any namespace at `path` but the host's. Undefined when the namespace is gone. The caller
 * closes the namespace.
 */
export function openOwnersNetns<N extends NamespaceMarks & { close(): void }>(
  machine: Namespaces<N>,
  owner: Owner | undefined,
  path: string,
): N | undefined {
  if (owner !== undefined && owner.bootId !== machine.bootId()) return undefined
  for (const candidate of new Set([path, owner?.netns ?? ''])) {
    if (candidate === '') continue
    const opened = openNetnsAt(machine, candidate)
    if (opened === undefined) continue
    if (owner === undefined ? opened.isHost !== true : isOwnersNetns(owner, opened)) return opened
    opened.close()
  }
  return undefined
}

/** True when the path of the ADD still leads to the namespace of a record's owner. */
export function isAlive<N extends NamespaceMarks & { close(): void }>(
  machine: Namespaces<N>,
  owner: Owner,
): boolean {
  const opened = openOwnersNetns(machine, owner, '')
  opened?.close()
  return opened !== undefined
}

/** Opens any namespace at `path`, the host's too; undefined when none is there. The caller closes it. */
export function openNetnsAt<N>(machine: { openNetns(path: string): N }, path: string): N | undefined {
  try {
    return machine.openNetns(path)
  } catch {
    return undefined // gone, or no namespace any more
  }
}
