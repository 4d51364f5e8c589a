/** Protocol, address and port; without these all of the address. */
interface Key {
  readonly proto?: string
  readonly address: string
  readonly port?: number
}

/** A host port belongs to somebody else already. */
export class PortTaken extends Error {
  readonly key: Key
  readonly owner: string
  /** Of the filter or the reservation that has the key, where it has one. */
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

/** True for a refusal of the kernel (EEXIST) that says that somebody has what was to be made. */
export function isExisting(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
}
