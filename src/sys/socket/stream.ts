/** Sockets of bytes, unix and TCP, that never wait: for a program that waits in poll(2) by itself. */
import { ipToBytes } from '../../lib/ip.ts'
import { errorCode } from '../errno.ts'
import { anyCall, bind, close, setsockopt, socket } from '../ffi.ts'

/** linux/socket.h, asm-generic/socket.h */
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000

/**
 * A listener at an address of this node. Not blocking, close-on-exec.
 * @param address IPv4 or IPv6, without brackets
 * @throws SystemError, such as EADDRINUSE; RangeError for a text that is no address
 */
export function listenTcp(address: string, port: number): number {
  const bytes = ipToBytes(address)
  const isV4 = bytes.length === 4
  const fd = socket(isV4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    // A successor listens while connections of this process still end.
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(new Int32Array([1]).buffer))
    // struct sockaddr_in and sockaddr_in6: family, port, in IPv6 flow information, then the address.
    const name = new Uint8Array(isV4 ? 16 : 28)
    const view = new DataView(name.buffer)
    view.setUint16(0, isV4 ? AF_INET : AF_INET6, true)
    view.setUint16(2, port, false)
    name.set(bytes, isV4 ? 4 : 8)
    bind(fd, name)
    anyCall('listen', [50, 201], [fd, 16])
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** The bytes that are there, at most `most`; undefined when none are there now; an empty array at the end. @throws SystemError */
export function readSome(fd: number, most: number): Uint8Array | undefined {
  const bytes = new Uint8Array(most)
  return whenReady(() =>
    bytes.subarray(0, anyCall('recvfrom', [45, 207], [fd, bytes, most, MSG_DONTWAIT, 0, 0])),
  )
}

/** Writes as many bytes as the other end takes now; returns their number. @throws SystemError EPIPE, ECONNRESET */
export function writeSome(fd: number, bytes: Uint8Array): number {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL
  return whenReady(() => anyCall('sendto', [44, 206], [fd, bytes, bytes.length, flags, 0, 0])) ?? 0
}

function whenReady<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return undefined
    throw error
  }
}
