/** Sockets that a process keeps between two uses, one of each protocol. */
import type { NetlinkSocket } from '../../../netlink/socket.ts'

/** A pool that keeps nothing before {@link fill}: what is given back is closed. `open` opens a socket of a protocol. */
export class SocketPool {
  readonly #open: (protocol: number) => NetlinkSocket
  #free: Map<number, NetlinkSocket> | undefined
  /** Those that were kept first: the process has them open when it notes what is its own. */
  readonly #first = new Set<NetlinkSocket>()

  constructor(open: (protocol: number) => NetlinkSocket) {
    this.#open = open
  }

  /** Opens sockets of these protocols and keeps them from now on. A protocol for which `open` has none is kept none of. */
  fill(protocols: readonly number[], open: (protocol: number) => NetlinkSocket | undefined): void {
    this.#free = new Map(
      protocols.flatMap((protocol): [number, NetlinkSocket][] => {
        const opened = open(protocol)
        if (opened !== undefined) this.#first.add(opened)
        return opened === undefined ? [] : [[protocol, opened]]
      }),
    )
  }

  /** The kept socket, which nobody else gets meanwhile, or a new one. */
  take(protocol: number): NetlinkSocket {
    const found = this.#free?.get(protocol)
    this.#free?.delete(protocol)
    return found ?? this.#open(protocol)
  }

  /** Takes a socket back. One is closed for which an answer may be under way; of two, the one that was not kept first. */
  give(protocol: number, socket: NetlinkSocket): void {
    const other = this.#free?.get(protocol)
    const isSecond = other !== undefined && !this.#first.has(socket)
    if (this.#free === undefined || isSecond || !socket.isIdle) socket.close()
    else {
      other?.close()
      this.#free.set(protocol, socket)
    }
  }
}
