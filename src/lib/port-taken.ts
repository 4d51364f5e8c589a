/** Protocol, address and port. */
interface Key {
  readonly proto: string
  readonly address: string
  readonly port: number
}

/** A host port belongs to somebody else already. */
export class PortTaken extends Error {
  readonly key: Key
  readonly owner: string
  /** Of the filter that has the key, where that is all that is known of the owner. */
  readonly cookie: string | undefined

  constructor(key: Key, owner: string, cookie?: string) {
    super(`${key.proto} ${key.address} port ${key.port} is taken by ${owner}`)
    this.name = 'PortTaken'
    this.key = key
    this.owner = owner
    this.cookie = cookie
  }
}
