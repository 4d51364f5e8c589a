/**
 * Network namespaces. A namespace belongs to a thread, so everything that runs inside one is synchronous: after an
 * `await` the program could go on in the wrong one.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { SystemError } from './errno.ts'
import { setns, unshare } from './ffi.ts'
import { own } from './own-netns.ts'

/** CLONE_NEWNET, linux/sched.h. */
const CLONE_NEWNET = 0x40000000

/** An open network namespace; keeps it alive until closed. */
export interface Netns {
  readonly fd: number
  /** Device and inode of the nsfs file, `4:4026531840`: survives renames of the path, valid within one boot. */
  readonly id: string
  readonly path: string
  close(): void
}

/**
 * Opens the network namespace at `path`. Throws SystemError/Node file error ENOENT when the path is gone and EINVAL
 * when it is not a namespace file (a bind mount that was lost leaves an empty regular file behind).
 */
export function openNetns(path: string): Netns {
  // Not blocking: whatever else stands at that path, a FIFO too, is opened only to be refused.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const stat = fstatSync(fd)
  // All namespace files live on one file system, nsfs.
  if (stat.dev !== statSync(own).dev) {
    closeSync(fd)
    throw new SystemError('openNetns', 22, `"${path}" is not a network namespace`)
  }
  return { fd, id: `${stat.dev}:${stat.ino}`, path, close: () => closeSync(fd) }
}

/** The namespace of the calling thread. */
export function ownNetns(): Netns {
  return openNetns(own)
}

/**
 * Runs `action` with the calling thread inside `target`, and always comes back, whatever `action` throws. Where the
 * way back fails the process ends at once: going on would change the wrong namespace. `action` must be synchronous.
 * Throws SystemError EINVAL when `target` is not a network namespace.
 */
export function withNetns<T>(target: Netns, action: () => T): T {
  return away(() => setns(target.fd, CLONE_NEWNET), action)
}

/** As withNetns(), in a new namespace that is gone when `action` has ended and closed its sockets. */
export function inNewNetns<T>(action: () => T): T {
  return away(() => unshare(CLONE_NEWNET), action)
}

function away<T>(leave: () => void, action: () => T): T {
  const home = ownNetns()
  try {
    leave()
    try {
      return action()
    } finally {
      try {
        setns(home.fd, CLONE_NEWNET)
      } catch (error) {
        console.error(`Cannot return to the host's network namespace: ${String(error)}`)
        process.abort()
      }
    }
  } finally {
    home.close()
  }
}
