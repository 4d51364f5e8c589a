/**
 * Unix sockets of type SOCK_SEQPACKET: each packet is one message, whole or not there. Node's and Bun's sockets can neither pass
 * descriptors nor tell who the other end is. See unix(7).
 */
import { SystemError } from './errno.ts'
import {
  anyCall,
  bind,
  type CallNumbers,
  callOrErrno,
  close,
  connect,
  getsockopt,
  pointerTo,
  socket,
} from './ffi.ts'

/** linux/socket.h, asm/socket.h */
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_SEQPACKET = 5
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const SO_PEERCRED = 17
const SO_NETNS_COOKIE = 71
const MSG_TRUNC = 0x20
const MSG_CTRUNC = 8
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000

/** asm-generic/errno-base.h, asm-generic/errno.h */
const EINTR = 4
const EAGAIN = 11
const EPIPE = 32
const ECONNABORTED = 103
const ECONNRESET = 104
const ENOTCONN = 107

/** Longest path of a unix socket, in bytes: sun_path has 108 with the zero byte. */
export const longestPath = 107

/** Size of struct msghdr and of struct cmsghdr; offsets are those of 64-bit processors (bits/socket.h). */
const msghdrBytes = 56
const cmsghdrBytes = 16

/** Most descriptors that are taken with one packet; the kernel closes further ones, and the packet is refused. */
const mostDescriptors = 8

/** The buffer of all packets, of which each gets a copy of its size: most questions find none. */
let scratch = new Uint8Array(0)

/** A packet, and the descriptors that came with it. They are close-on-exec, and whoever has received them closes them. */
export interface Packet {
  readonly bytes: Uint8Array
  readonly descriptors: readonly number[]
}

/** Results of {@link receive} that are no packet: nothing is there now, or the other end is closed. */
export type NoPacket = 'nothing' | 'closed'

/** The process at the other end, as it was when it connected. The PID is 0 when it is not in this PID namespace. */
export interface Peer {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** struct sockaddr_un. @throws SystemError ENAMETOOLONG */
function addressOf(path: string): Uint8Array {
  const text = new TextEncoder().encode(path)
  if (text.length > longestPath) throw new SystemError('bind', 36, `"${path}" has ${text.length} bytes`)
  const address = new Uint8Array(2 + text.length + 1)
  address[0] = AF_UNIX
  // "@" is how systemd writes the zero byte of an abstract address, which has no end byte.
  if (text[0] !== 0x40) {
    address.set(text, 2)
    return address
  }
  address.set(text.subarray(1), 3)
  return address.subarray(0, 2 + text.length)
}

/**
 * A listener at a path, which must be free. Neither accept nor a connection of it blocks.
 * @param backlog connections that wait to be accepted; net.core.somaxconn bounds it
 * @throws SystemError
 */
export function listenAt(path: string, backlog: number, kind: 'packets' | 'stream' = 'packets'): number {
  const SOCK_STREAM = 1
  const type = kind === 'packets' ? SOCK_SEQPACKET : SOCK_STREAM
  const fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    bind(fd, addressOf(path))
    anyCall('listen', [50, 201], [fd, backlog])
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** The next connection of a listener, not blocking and close-on-exec; undefined when none waits. @throws SystemError */
export function acceptAt(listener: number): number | undefined {
  // ECONNABORTED: the other end has gone already.
  const fd = resultOr(
    'accept4',
    [288, 242],
    [listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC],
    [...[EAGAIN, ECONNABORTED]],
  )
  return fd < 0 ? undefined : fd
}

/** Connects to a path. @throws SystemError, such as ENOENT, ECONNREFUSED, and EAGAIN when the backlog is full */
export function connectTo(path: string): number {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    connect(fd, addressOf(path))
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** Two connected sockets, close-on-exec and not blocking. @throws SystemError */
export function socketPair(): readonly [number, number] {
  const both = new Int32Array(2)
  anyCall('socketpair', [53, 199], [AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both])
  const [one = -1, other = -1] = both
  return [one, other]
}

/** The process at the other end (SO_PEERCRED). @throws SystemError */
export function peerOf(fd: number): Peer {
  const credentials = new Uint32Array(3)
  getsockopt(fd, SOL_SOCKET, SO_PEERCRED, new Uint8Array(credentials.buffer))
  const [pid = 0, uid = 0, gid = 0] = credentials
  return { pid, uid, gid }
}

/** The cookie of the network namespace in which the other end made its socket, for an accepted one (SO_NETNS_COOKIE). @throws SystemError */
export function netnsCookieOf(fd: number): bigint {
  const cookie = new BigUint64Array(1)
  getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, new Uint8Array(cookie.buffer))
  return cookie[0] ?? 0n
}

/** A buffer, and struct msghdr with one struct iovec that leads to it. The caller keeps all of them until the call is over. */
function messageHeader(bytes: Uint8Array, control: Uint8Array | undefined) {
  const vector = BigUint64Array.of(pointerTo(bytes), BigInt(bytes.length))
  const header = new Uint8Array(msghdrBytes)
  const view = new DataView(header.buffer)
  view.setBigUint64(16, pointerTo(vector), true)
  view.setBigUint64(24, 1n, true)
  if (control !== undefined) {
    view.setBigUint64(32, pointerTo(control), true)
    view.setBigUint64(40, BigInt(control.length), true)
  }
  return { header, view, vector }
}

/**
 * Sends one packet, with descriptors, and does not wait.
 * @returns false when the other end has no room now, or is closed: it will never take this packet
 * @throws SystemError for any other reason
 */
export function send(fd: number, bytes: Uint8Array, descriptors: readonly number[] = []): boolean {
  let control: Uint8Array | undefined
  if (descriptors.length > 0) {
    const length = cmsghdrBytes + descriptors.length * 4
    control = new Uint8Array(align(length))
    const view = new DataView(control.buffer)
    view.setBigUint64(0, BigInt(length), true)
    view.setInt32(8, SOL_SOCKET, true)
    view.setInt32(12, SCM_RIGHTS, true)
    for (const [index, one] of descriptors.entries()) view.setInt32(cmsghdrBytes + index * 4, one, true)
  }
  const { header, vector } = messageHeader(bytes, control)
  const registers = [fd, header, MSG_DONTWAIT | MSG_NOSIGNAL]
  const result = resultOr('sendmsg', [46, 211], registers, [EAGAIN, EPIPE, ECONNRESET, ENOTCONN])
  return result >= 0 && vector.length > 0
}

/**
 * Takes the next packet, and does not wait.
 * @param most bytes of the longest packet that is expected
 * @throws SystemError EMSGSIZE for a longer packet and for one with too many descriptors, all of which are closed then
 */
export function receive(fd: number, most: number): Packet | NoPacket {
  if (scratch.length < most) scratch = new Uint8Array(most)
  const bytes = scratch.subarray(0, most)
  const control = new Uint8Array(align(cmsghdrBytes + mostDescriptors * 4))
  const { header, view, vector } = messageHeader(bytes, control)
  const registers = [fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC]
  const length = resultOr('recvmsg', [47, 212], registers, [EAGAIN, ECONNRESET])
  if (length < 0) return length === -EAGAIN ? 'nothing' : 'closed'
  const descriptors = descriptorsIn(control, Number(view.getBigUint64(40, true)))
  const flags = view.getInt32(48, true)
  if ((flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0) {
    for (const one of descriptors) close(one)
    throw new SystemError(
      'recvmsg',
      90,
      `a packet of over ${vector[1]} bytes or ${mostDescriptors} descriptors`,
    )
  }
  // No message of ours is empty, so an empty packet is the end.
  if (length === 0) {
    for (const one of descriptors) close(one)
    return 'closed'
  }
  return { bytes: bytes.slice(0, length), descriptors }
}

function descriptorsIn(control: Uint8Array, length: number): number[] {
  const view = new DataView(control.buffer)
  const found: number[] = []
  for (let at = 0; at + cmsghdrBytes <= length; ) {
    const size = Number(view.getBigUint64(at, true))
    if (size < cmsghdrBytes) break
    const isRights = view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS
    if (isRights)
      for (let one = at + cmsghdrBytes; one + 4 <= at + size; one += 4) found.push(view.getInt32(one, true))
    at += align(size)
  }
  return found
}

/** Control data lies at multiples of the length of a register. */
function align(length: number): number {
  return (length + 7) & ~7
}

/** Sends one datagram to a path, or to an abstract address that begins with "@", and does not wait. @throws SystemError */
export function sendDatagram(path: string, text: string): void {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  try {
    connect(fd, addressOf(path))
    send(fd, new TextEncoder().encode(text))
  } finally {
    close(fd)
  }
}

/** A system call of which some errnos are no errors: they are returned as negative numbers. @throws SystemError for all others */
function resultOr(
  name: string,
  numbers: CallNumbers,
  registers: readonly (number | NodeJS.TypedArray)[],
  expected: readonly number[],
): number {
  for (;;) {
    const result = callOrErrno(numbers, registers)
    if (result >= 0 || expected.includes(-result)) return result
    if (-result !== EINTR) throw new SystemError(name, -result)
  }
}
