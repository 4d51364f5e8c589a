/**
 * Decides whether a worker may serve a caller. The worker's answer must be that of the program that the caller would execute itself: same
 * rights, same network namespace, same files. The kernel says so, never the caller. Any other caller serves its call itself.
 */
import { errorCode, SystemError } from '../../sys/errno.ts'
import { close } from '../../sys/ffi.ts'
import { isHungUp } from '../../sys/poll.ts'
import { netnsCookieOf, peerOf, socketPair } from '../../sys/unix-socket.ts'
import { type FileId, fileAt, fileOf } from './files.ts'
import { type FolderWishes, otherFolder } from './folders.ts'
import { hasRightsOf, type Rights, rightsOf } from './rights.ts'

/** A call with the descriptors that came with it. */
export interface PlacedCall extends FolderWishes {
  /** The caller's root directory (O_PATH). */
  readonly root: number
  /** The file that CNI_NETNS leads the caller to; undefined if it leads to nothing. */
  readonly netns: number | undefined
}

/** The namespaces of this process, which it never leaves for long. */
interface Own {
  readonly user: string
  readonly rights: Rights
  readonly mounts: string
  readonly netns: string
  /** Undefined where the kernel has no cookies of namespaces. */
  readonly cookie: bigint | undefined
}

/**
 * Reads the namespaces of this process, and returns a function that tells the reason for which a call is not to be served here; undefined
 * if it is. A reason is one of few texts. The function asks the kernel anew each time.
 */
export function samePlace(): (connection: number, call: PlacedCall) => string | undefined {
  const own: Own = {
    user: namespace('self', 'user'),
    rights: rightsOf(process.pid),
    mounts: namespace('self', 'mnt'),
    netns: namespace('self', 'net'),
    cookie: ownCookie(),
  }
  return (connection, call) => {
    const { uid, pid } = peerOf(connection)
    if (uid !== 0) return 'the caller is not root'
    if (pid === 0) return 'the caller is in another PID namespace'
    try {
      const reason = refusalOf(own, connection, pid, call)
      // While the connection is open the caller lives, and the PID was no other process's.
      return isHungUp(connection) ? 'the caller is gone' : reason
    } catch (error) {
      const code = errorCode(error)
      if (code === undefined) throw error
      return code === 'ESRCH' || code === 'ENOENT' ? 'the caller is gone' : 'the caller can not be looked at'
    }
  }
}

function refusalOf(own: Own, connection: number, pid: number, call: PlacedCall): string | undefined {
  if (namespace(pid, 'user') !== own.user) return 'the caller is in another user namespace'
  if (!hasRightsOf(own.rights, pid)) return 'the caller lacks capabilities'
  if (!isInNetns(own, connection, pid)) return 'the caller is in another network namespace'
  const other = hasSameFiles(own, pid, call.root) ? undefined : refusedFolder(call)
  if (other !== undefined) return `the caller has another ${other}`
  return netnsRefusal(call)
}

/** Device and inode of a namespace of a process. @throws SystemError ESRCH for a process that is gone */
function namespace(pid: number | 'self', kind: 'user' | 'mnt' | 'net'): string {
  const found = fileAt(`/proc/${pid}/ns/${kind}`)
  if (found === undefined) throw new SystemError('statx', 3, `process ${pid} is gone`)
  return found.file
}

function ownCookie(): bigint | undefined {
  const pair = socketPair()
  try {
    return cookieOf(pair[0])
  } finally {
    for (const fd of pair) close(fd)
  }
}

/** The cookie of the namespace of the socket at the other end; undefined before Linux 5.14. */
function cookieOf(connection: number): bigint | undefined {
  try {
    return netnsCookieOf(connection)
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOPROTOOPT') return undefined
    throw error
  }
}

function isInNetns({ cookie, netns }: Own, connection: number, pid: number): boolean {
  return cookie === undefined ? namespace(pid, 'net') === netns : cookieOf(connection) === cookie
}

/** True where all paths lead to the same files as here: the mounts are ours, and so is the root directory. */
function hasSameFiles({ mounts }: Own, pid: number, root: number): boolean {
  if (namespace(pid, 'mnt') !== mounts) return false
  const [ours, theirs] = [fileAt('/'), fileOf(root)]
  return ours?.mount !== undefined && ours.mount === theirs?.mount && ours.file === theirs.file
}

function refusedFolder(call: PlacedCall): string | undefined {
  try {
    return otherFolder(call.root, call)
  } catch (error) {
    // A path that only the caller itself can follow, a root that is no folder, or a kernel before Linux 5.6.
    if (error instanceof SystemError) return 'way to its folders'
    throw error
  }
}

/** Paths that lead each process somewhere else. */
const ownProcess = /^\/+(?:\.\/+)*proc\/+(?:\.\/+)*(?:self|thread-self)(?:\/|$)/

/** CNI_NETNS has to lead the worker to what it leads the caller to, or both to nothing. */
function netnsRefusal({ env, netns }: PlacedCall): string | undefined {
  const path = env.CNI_NETNS ?? ''
  if (ownProcess.test(path)) return 'CNI_NETNS is a path of the caller itself'
  const ours = path === '' ? undefined : reachable(path)
  const theirs = netns === undefined ? undefined : fileOf(netns)
  return ours?.file === theirs?.file ? undefined : 'CNI_NETNS leads to another place here'
}

function reachable(path: string): FileId | undefined {
  try {
    return fileAt(path)
  } catch (error) {
    // As nothing: too long, links in a circle.
    if (error instanceof SystemError) return undefined
    throw error
  }
}
