import { bind, close, sendto, setsockopt, socket } from './ffi.ts'
import { type Netns, withNetns } from './namespaces.ts'

/** linux/socket.h, linux/if_packet.h */
const AF_PACKET = 17
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const SOL_PACKET = 263
const PACKET_QDISC_BYPASS = 20
/** Size of struct sockaddr_ll, and the offset of sll_ifindex in it. */
const SOCKADDR_LL_SIZE = 20
const SLL_IFINDEX_OFFSET = 4

/**
 * Sends whole Ethernet frames out of one interface of a namespace, past its qdiscs. The socket has protocol 0, so it
 * receives nothing. It is bound to the interface (struct sockaddr_ll), so the pod's routes do not count.
 */
export function sendFrames(netns: Pick<Netns, 'fd'>, ifindex: number, frames: readonly Uint8Array[]): void {
  const fd = withNetns(netns, () => socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
  try {
    const on = new Uint8Array([1, 0, 0, 0])
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, on)
    const address = new Uint8Array(SOCKADDR_LL_SIZE)
    const view = new DataView(address.buffer)
    view.setUint16(0, AF_PACKET, true)
    view.setInt32(SLL_IFINDEX_OFFSET, ifindex, true)
    bind(fd, address)
    for (const frame of frames) sendto(fd, frame)
  } finally {
    close(fd)
  }
}
