import type { BackgroundSocket } from '../../netlink/background.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { Side } from '../../ops/op.ts'

/** The sockets of the two sides, and the numbers of interfaces that were looked up. */
export interface Sides {
  /** rtnetlink. */
  route(side: Side): NetlinkSocket
  /** Sends requests of rtnetlink on the host from another thread; undefined in a process that serves one call, which would wait at its end. */
  background(): BackgroundSocket | undefined
  /** Generic netlink of the host. */
  generic(): NetlinkSocket
  /** The number of an interface by its name. @throws MissingLink */
  indexOf(side: Side, name: string): number
  /** Forgets numbers that were looked up: a name may belong to another interface now. */
  forget(): void
}

/** Opens a new socket for a dump that may be left unread: a socket with an unread dump serves nothing else. */
export type OpenSocket = () => NetlinkSocket
