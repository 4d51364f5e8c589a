import type { OfKind } from '../lib/error-kind.ts'

/** Protocol, address and port. A key without protocol and port stands for all of the address. */
interface Key {
  readonly proto?: string
  readonly address: string
  readonly port?: number
}

/** A host port belongs to another owner already. */
export class PortTaken extends Error implements OfKind {
  readonly kind = 'port-taken'
  readonly key: Key
  readonly owner: string
  /** The cookie of the filter or reservation that has the key; undefined where there is none. */
  readonly cookie: string | undefined

  constructor(key: Key, owner: string, cookie?: string) {
    const { proto = 'ip', address, port } = key
    super(`${proto} ${address}${port === undefined ? '' : ` port ${port}`} is taken by ${owner}`)
    this.name = 'PortTaken'
    this.key = key
    this.owner = owner
    this.cookie = cookie
  }
}

/** True for EEXIST of the kernel: the object that was to be made is there already. */
export function isExisting(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
}
