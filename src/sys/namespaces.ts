/**
 * Network namespaces. A namespace belongs to a thread, so everything that runs inside one is synchronous: after an
 * `await` the program could go on in the wrong one.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { SystemError } from './errno.ts'
import { close, getsockopt, ioctl, setns, socket, unshare } from './ffi.ts'
import { hostStat, own } from './own-netns.ts'

/** CLONE_NEWNET, linux/sched.h. */
const CLONE_NEWNET = 0x40000000
/** linux/socket.h, asm-generic/socket.h, linux/netlink.h */
const AF_NETLINK = 16
const SOCK_RAW = 3
const NETLINK_ROUTE = 0
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_NETNS_COOKIE = 71
/** linux/nsfs.h: asks for the kind of a namespace, a CLONE_NEW* flag. */
const NS_GET_NSTYPE = 0xb703

/** An open network namespace; keeps it alive until closed. */
export interface Netns {
  readonly fd: number
  /** Device and inode of the nsfs file, `4:4026531840`. The kernel gives both to another namespace once this one is gone. */
  readonly id: string
  /**
   * SO_NETNS_COOKIE, decimal: no other namespace has it until the next boot. Undefined where the kernel has none (before
   * Linux 5.14). Read on first use.
   */
  readonly cookie: string | undefined
  /** True for the namespace that this process runs in. */
  readonly isHost: boolean
  readonly path: string
  /**
   * A socket of NETLINK_ROUTE in the namespace, where {@link cookie} has left one; the caller closes it. Each is handed out once: to enter
   * a namespace for another socket costs as much as many questions.
   */
  takeRouteSocket(): number | undefined
  close(): void
}

/**
 * Opens the network namespace at `path`. Throws SystemError/Node file error ENOENT when the path is gone and EINVAL
 * when it is not the file of a network namespace (a bind mount that was lost leaves an empty regular file behind).
 */
export function openNetns(path: string): Netns {
  // Not blocking: anything else at that path, such as a FIFO, is opened only to be refused.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stat = fstatSync(fd)
  const host = hostStat()
  // All namespace files live on one file system, nsfs; the file says which kind of namespace it is.
  if (stat.dev !== host.dev || (path !== own && ioctl(fd, NS_GET_NSTYPE) !== CLONE_NEWNET)) {
    closeSync(fd)
    throw new SystemError('openNetns', 22, `"${path}" is not a network namespace`)
  }
  const isHost = stat.ino === host.ino
  return new OpenedNetns(fd, `${stat.dev}:${stat.ino}`, isHost, path)
}

class OpenedNetns implements Netns {
  readonly fd: number
  readonly id: string
  readonly isHost: boolean
  readonly path: string
  #cookie: string | undefined
  #routeSocket: number | undefined

  constructor(fd: number, id: string, isHost: boolean, path: string) {
    this.fd = fd
    this.id = id
    this.isHost = isHost
    this.path = path
  }

  get cookie(): string | undefined {
    if (this.#cookie === undefined) {
      this.#routeSocket ??= withNetns(this, () => socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE))
      this.#cookie = cookieOf(this.#routeSocket)
    }
    return this.#cookie
  }

  takeRouteSocket(): number | undefined {
    const fd = this.#routeSocket
    this.#routeSocket = undefined
    return fd
  }

  close(): void {
    const fd = this.takeRouteSocket()
    if (fd !== undefined) close(fd)
    closeSync(this.fd)
  }
}

/** The cookie of the namespace in which a socket was made. */
function cookieOf(fd: number): string | undefined {
  try {
    const value = new Uint8Array(8)
    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, value)
    return String(new DataView(value.buffer).getBigUint64(0, true))
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOPROTOOPT') return undefined
    throw error
  }
}

/** The namespace of the calling thread. */
export function ownNetns(): Netns {
  return openNetns(own)
}

/**
 * Runs `action` with the calling thread inside `target`, and returns to the former namespace, whatever `action` throws. If the
 * return fails the process ends at once: going on would change the wrong namespace. `action` must be synchronous.
 * Throws SystemError EINVAL when `target` is not a network namespace, EPERM when the process could not come back.
 */
export function withNetns<T>(target: Pick<Netns, 'fd'>, action: () => T): T {
  return away(() => {
    setns(target.fd, CLONE_NEWNET)
    return target.fd
  }, action)
}

/**
 * As withNetns(), in a new namespace, which is gone once `action` has ended and closed its sockets.
 * @throws SystemError EPERM where the process could not come back
 */
export function inNewNetns<T>(action: () => T): T {
  let made: number | undefined
  try {
    return away(() => {
      unshare(CLONE_NEWNET)
      made = openSync(own, constants.O_RDONLY)
      return made
    }, action)
  } finally {
    if (made !== undefined) closeSync(made)
  }
}

/** A descriptor of the namespace that the process began in. It is opened once and kept: each call would open it many times. */
let home: number | undefined
/** The namespace that the thread is in now, by a descriptor of who is in it; undefined for home. */
let here: number | undefined

/** Opens the descriptor of the process's own namespace that {@link withNetns} returns by, while no thread is in another one. */
export function openHome(): number {
  home ??= openSync(own, constants.O_RDONLY)
  return home
}

/** True once the process is known to be able to come back to its own namespace. */
let canReturn = false

/**
 * A process of a user namespace may leave a network namespace that belongs to another user namespace, and could not come back: it stays.
 * Who may come back once may always.
 */
function requireReturn(home: number): void {
  if (canReturn) return
  try {
    setns(home, CLONE_NEWNET)
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    const words =
      'no way back to the network namespace of this process, which belongs to another user namespace'
    throw error.code === 'EPERM' ? new SystemError('setns', error.errno, words) : error
  }
  canReturn = true
}

function away<T>(leave: () => number, action: () => T): T {
  const back = here ?? openHome()
  requireReturn(back)
  const before = here
  try {
    here = leave()
    return action()
  } finally {
    try {
      setns(back, CLONE_NEWNET)
      here = before
    } catch (error) {
      console.error(`Cannot return to the host's network namespace: ${String(error)}`)
      process.abort()
    }
  }
}
