/**
 * Sockets of the host for a process that opens the kernel many times. When a socket of netfilter is closed behind a transaction, the kernel
 * waits until all processors have passed a quiet state (nft_rcv_nl_event() of net/netfilter/nf_tables_api.c), which takes up to some
 * hundredths of a second. A process of one call closes its sockets as before.
 */
import type { BackgroundSocket } from '../../../netlink/background.ts'
import { NetlinkSocket } from '../../../netlink/socket.ts'
import { SystemError } from '../../../sys/errno.ts'
import { openHome } from '../../../sys/namespaces.ts'
import { openNetlink } from '../../../sys/netlink.ts'
import { SocketPool } from './pool.ts'

/** NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_NETFILTER, NETLINK_GENERIC of linux/netlink.h. */
const protocols = [0, 4, 12, 16] as const

/** The sockets of this process in its own network namespace. */
export const hostSockets = new SocketPool((protocol) => new NetlinkSocket(openNetlink(protocol)))

/**
 * Opens all descriptors that this process keeps from now on: its own network namespace, and sockets in it. Protocols that the kernel lacks
 * have none.
 */
export function keepHostSockets(): void {
  openHome()
  hostSockets.fill(protocols, (protocol) => {
    try {
      return new NetlinkSocket(openNetlink(protocol))
    } catch (error) {
      if (error instanceof SystemError && error.code === 'EPROTONOSUPPORT') return undefined
      throw error
    }
  })
}

/** The socket whose requests another thread sends; src/kernel/linux/kept/background.ts opens it in a worker. */
export const kept: { background?: BackgroundSocket } = {}
