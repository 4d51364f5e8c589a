/**
 * Sockets of the host for a process that opens the kernel many times. When a socket of netfilter is closed behind a transaction, the kernel
 * waits until all processors have passed a quiet state (nft_rcv_nl_event() of net/netfilter/nf_tables_api.c), which takes up to some
 * hundredths of a second. A process of one call closes its sockets as before.
 */
import { NetlinkSocket } from '../../netlink/socket.ts'
import { SystemError } from '../../sys/errno.ts'
import { openHome } from '../../sys/namespaces.ts'
import { openNetlink } from '../../sys/netlink.ts'

/** NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_NETFILTER, NETLINK_GENERIC of linux/netlink.h. */
const protocols = [0, 4, 12, 16] as const

/** Free sockets by their protocol; undefined in a process that keeps none. */
let kept: Map<number, NetlinkSocket> | undefined
/** The sockets that were kept first. A second kernel that is open at the same time has others, which go before these. */
const first = new Set<NetlinkSocket>()

/**
 * Opens all descriptors that this process keeps from now on: its own network namespace, and sockets in it. Protocols that the kernel lacks have none. Each is
 * used by one kernel at a time, and closed where an answer may be under way that nobody waits for.
 */
export function keepHostSockets(): void {
  openHome()
  kept = new Map()
  for (const protocol of protocols) {
    try {
      const socket = new NetlinkSocket(openNetlink(protocol))
      kept.set(protocol, socket)
      first.add(socket)
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== 'EPROTONOSUPPORT') throw error
    }
  }
}

/** A kept socket of the host, or a new one. */
export function takeHostSocket(protocol: number): NetlinkSocket {
  const found = kept?.get(protocol)
  kept?.delete(protocol)
  return found ?? new NetlinkSocket(openNetlink(protocol))
}

/** Keeps a socket of the host for the next kernel, or closes it. */
export function giveHostSocket(protocol: number, socket: NetlinkSocket): void {
  const other = kept?.get(protocol)
  if (kept === undefined || !socket.isIdle || (other !== undefined && !first.has(socket))) socket.close()
  else {
    other?.close()
    kept.set(protocol, socket)
  }
}
