/**
 * The kernel's notifications: datagrams of netlink multicast groups, as they come. Bun waits for them with epoll, so that a socket on
 * which nothing comes costs no processor time and no thread.
 */
import { SystemError } from './errno.ts'
import { close, connect, pointerTo, setsockopt, socket } from './ffi.ts'

/** linux/socket.h, linux/netlink.h, asm-generic/socket.h */
const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SOL_NETLINK = 270
const SO_RCVBUF = 8
const SO_ATTACH_FILTER = 26
const SO_RCVBUFFORCE = 33
const NETLINK_ADD_MEMBERSHIP = 1
/** Size of struct sock_filter, linux/filter.h. */
const instructionBytes = 8
/** Size of struct sockaddr_nl: family, padding, port id, groups. */
const SOCKADDR_NL_SIZE = 12

/**
 * Receive buffer in bytes. The kernel charges a uevent with 2 to 3 KiB: this holds about 6,000 of them, and takes memory only while
 * they wait.
 */
const receiveBufferBytes = 16 << 20

/** The receiver of notifications. Its functions are called one at a time and must not throw. */
export interface NotificationHandler {
  /**
   * One or several whole datagrams, in order, at most 192 KiB. Datagrams that wait at the same time come joined, without a mark
   * between them. None is cut: Bun reads on only while 64 KiB of its buffer are free, and no notification is that long.
   */
  take(datagrams: Uint8Array): void
  /**
   * The socket is closed. `error.code` is ENOBUFS when the kernel has dropped notifications because the receive buffer was full.
   * Called at most once, and never after close().
   */
  lost(error: unknown): void
}

/** Open notifications. */
export interface Notifications {
  /** Also takes the notifications of this group, by its number. @throws SystemError ENOENT for a group that the protocol lacks */
  join(group: number): void
  close(): void
}

/**
 * Opens the notifications of `groups` of a netlink protocol (0 NETLINK_ROUTE, 15 NETLINK_KOBJECT_UEVENT, 16 NETLINK_GENERIC), of the
 * network namespace of this process. Groups are numbers, not bits: RTNLGRP_LINK is 1. Needs no capability, but for a larger receive
 * buffer (CAP_NET_ADMIN in the first user namespace). The kernel drops the datagrams to which `filter` answers 0, a program of struct
 * sock_filter, and does not wake this process for them.
 *
 * The sender of a datagram is not told. A program may send to these groups, or to this socket, only with CAP_NET_ADMIN in the user
 * namespace of the network namespace (netlink_sendmsg, netlink_allowed). The socket is connected to the kernel, so that the kernel
 * refuses datagrams of others to its port id; those to a group remain. Take a notification for a hint to look, and no more.
 * @throws SystemError
 */
export function openNotifications(
  protocol: number,
  groups: readonly number[],
  handler: NotificationHandler,
  filter?: Uint8Array,
): Notifications {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)
  const join = (group: number) => setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int32(group))
  try {
    enlargeBuffer(fd)
    if (filter !== undefined) attachFilter(fd, filter)
    const address = new Uint8Array(SOCKADDR_NL_SIZE)
    new DataView(address.buffer).setUint16(0, AF_NETLINK, true)
    // Also gives the socket its port id.
    connect(fd, address)
    for (const group of groups) join(group)
  } catch (error) {
    close(fd)
    throw error
  }
  const reader = Bun.file(fd).stream().getReader()
  let isOpen = true
  const end = () => {
    isOpen = false
    // The stream does not own the descriptor. It must have left epoll before the number can be used again.
    reader
      .cancel()
      .catch(() => undefined)
      .finally(() => close(fd))
  }
  const pump = async () => {
    while (isOpen) {
      let value: Uint8Array | undefined
      let failure: unknown
      try {
        value = (await reader.read()).value
      } catch (error) {
        failure = error
      }
      if (!isOpen) return
      if (value !== undefined) handler.take(value)
      else {
        end()
        // A netlink socket has no end of file.
        handler.lost(failure ?? new SystemError('recv', 5, 'the stream has ended'))
      }
    }
  }
  void pump()
  return {
    join,
    close: () => {
      if (isOpen) end()
    },
  }
}

function enlargeBuffer(fd: number): void {
  try {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int32(receiveBufferBytes))
  } catch {
    // As much as net.core.rmem_max allows.
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, int32(receiveBufferBytes))
  }
}

/** struct sock_fprog of linux/filter.h: count, padding, pointer. */
function attachFilter(fd: number, filter: Uint8Array): void {
  const program = new DataView(new ArrayBuffer(16))
  program.setUint16(0, filter.length / instructionBytes, true)
  program.setBigUint64(8, pointerTo(filter), true)
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer))
}

function int32(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer)
}
