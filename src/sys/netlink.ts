import { SystemError } from './errno.ts'
import { close, connect, recv, sendto, setsockopt, socket } from './ffi.ts'
import { type Netns, withNetns } from './namespaces.ts'

/** linux/socket.h, linux/netlink.h, asm-generic/socket.h */
const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const NETLINK_ROUTE = 0
const SOL_SOCKET = 1
const SOL_NETLINK = 270
const SO_RCVTIMEO = 20
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
const MSG_TRUNC = 0x20
/** asm-generic/errno.h */
const [EMSGSIZE, ENOBUFS] = [90, 105]
/** Size of struct timeval on 64-bit Linux: seconds and microseconds, 8 bytes each. */
const TIMEVAL_SIZE = 16
/** Size of struct sockaddr_nl: family, padding, port id, groups. */
const SOCKADDR_NL_SIZE = 12

/** Receive buffer of the socket: a dump of 256 VFs and a batch of several hundred ACKs must not overrun it. */
const receiveBufferBytes = 4 << 20
/** Size of the buffer for one datagram of a dump: the kernel fills dumps up to 32 KiB. */
const dumpBytes = 64 << 10
/**
 * First size of the buffer for received datagrams. An interface with 256 VFs takes 100 KiB. The memory is the kernel's until a datagram
 * is written to it.
 */
const firstBufferBytes = 1 << 20
/** One buffer serves all sockets, because each datagram is copied out of it at once. */
let buffer: Uint8Array | undefined
/** Seconds without an answer after which recv fails (EAGAIN). A driver that hangs does so in sendto, where no timeout helps. */
const answerSeconds = 30

/** One netlink datagram socket: sends whole requests, receives whole datagrams of any size. */
export interface NetlinkTransport {
  readonly fd: number
  send(message: Uint8Array): void
  recv(): Uint8Array
  /** Receives a datagram of at most 64 KiB without a copy; the next call overwrites the datagram. */
  view(): Uint8Array
  close(): void
}

/**
 * Opens a netlink socket of `protocol` (0 NETLINK_ROUTE, 16 NETLINK_GENERIC) with extended ACKs, short ACKs and strict
 * checking of dump requests. The socket takes answers from the kernel alone. With `netns` the socket belongs to that
 * namespace, and the thread is back before this returns. The caller closes the socket: an open socket keeps a deleted
 * namespace, and the VF in it, alive.
 */
export function openNetlink(
  protocol: number,
  netns?: Pick<Netns, 'fd'> & Partial<Pick<Netns, 'takeRouteSocket'>>,
): NetlinkTransport {
  const open = () => socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
  const left = protocol === NETLINK_ROUTE ? netns?.takeRouteSocket?.() : undefined
  const fd = left ?? (netns === undefined ? open() : withNetns(netns, open))
  try {
    configure(fd)
  } catch (error) {
    close(fd)
    throw error
  }
  let viewed: Uint8Array | undefined
  return {
    fd,
    send: (message) => {
      try {
        sendto(fd, message)
      } catch (error) {
        // A transaction is one datagram, whatever its size: it must fit into the send buffer (netlink_sendmsg).
        if (!(error instanceof SystemError) || error.code !== 'EMSGSIZE') throw error
        growSendBuffer(fd, message.length, error)
        sendto(fd, message)
      }
    },
    recv: () => {
      buffer ??= new Uint8Array(firstBufferBytes)
      const room = buffer.length
      const got = recv(fd, buffer, MSG_TRUNC)
      if (got > room) {
        buffer = new Uint8Array(got)
        throw new SystemError('recv', ENOBUFS, `a datagram of ${got} bytes finds room for ${room}`)
      }
      // A copy, because decoded values may keep views into the datagram after the buffer is used again.
      return buffer.slice(0, got)
    },
    view: () => {
      viewed ??= new Uint8Array(dumpBytes)
      const got = recv(fd, viewed, MSG_TRUNC)
      if (got > viewed.length) throw new SystemError('recv', EMSGSIZE, `datagram of ${got} bytes truncated`)
      return viewed.subarray(0, got)
    },
    close: () => close(fd),
  }
}

function configure(fd: number): void {
  const on = int32(1)
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, on)
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, on)
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, on)
  try {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int32(receiveBufferBytes))
  } catch {
    // Needs CAP_NET_ADMIN in the first user namespace; without it the default (208 KiB) serves ordinary nodes.
  }
  const timeout = new Uint8Array(TIMEVAL_SIZE)
  new DataView(timeout.buffer).setBigInt64(0, BigInt(answerSeconds), true)
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout)
  // Connects to port 0, the kernel: from now on the kernel refuses the datagrams of everybody else (netlink_getsockbyportid of
  // net/netlink/af_netlink.c). Since there was no bind(2) before, the kernel chooses our port id too.
  const address = new Uint8Array(SOCKADDR_NL_SIZE)
  new DataView(address.buffer).setUint16(0, AF_NETLINK, true)
  connect(fd, address)
}

/** Enlarges the send buffer; needs CAP_NET_ADMIN in the first user namespace. @throws `tooLong` without it */
function growSendBuffer(fd: number, bytes: number, tooLong: SystemError): void {
  try {
    // The kernel doubles the number and keeps a little of it for itself.
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, int32(bytes))
  } catch {
    throw tooLong
  }
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  return bytes
}
