/** Sockets at fixed paths in /run/vf-flower, which a new agent takes over from an old one without a moment in which nobody listens. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { octal } from '../../lib/trusted-file.ts'
import { errorCode } from '../../sys/errno.ts'
import { close } from '../../sys/ffi.ts'
import { removeIfOlder } from '../../sys/files.ts'
import { listenAt } from '../../sys/unix-socket.ts'

/** A folder that is not for root alone. */
export class OpenFolder extends Error {
  override readonly name = 'OpenFolder'
}

/** A socket that listens at a path. */
export interface Listener {
  readonly fd: number
  readonly path: string
  /** Device and inode of the socket's file. */
  readonly file: string
}

/** Longest line of connections that nobody has accepted; net.core.somaxconn bounds it. */
const backlog = 512

/** Age with which a socket under a temporary name is nobody's, in milliseconds. */
const oldTime = 60_000

/**
 * Listens at a path, whatever socket is there: the socket gets its path only once it listens, by a rename.
 * @throws OpenFolder, SystemError, Node's errors of files
 */
export function listenOver(path: string, kind: 'packets' | 'stream' = 'packets'): Listener {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  requireClosed(folder)
  const begin = `.${basename(path)}.`
  // An agent that was killed before its rename has left one. Another one that starts at this moment has one too.
  for (const name of readdirSync(folder))
    if (name.startsWith(begin) && name.endsWith('.tmp')) removeIfOlder(`${folder}/${name}`, oldTime)
  rmSync(`${folder}/${begin}${process.pid}.tmp`, { force: true })
  const temporary = `${folder}/${begin}${process.pid}.tmp`
  const fd = listenAt(temporary, backlog, kind)
  try {
    // The folder keeps others away meanwhile.
    chmodSync(temporary, 0o600)
    const file = fileAt(temporary) ?? ''
    renameSync(temporary, path)
    return { fd, path, file }
  } catch (error) {
    close(fd)
    rmSync(temporary, { force: true })
    throw error
  }
}

/** @throws OpenFolder when somebody but root could put another socket into it */
function requireClosed(folder: string): void {
  const stats = lstatSync(folder)
  if (!stats.isDirectory()) throw new OpenFolder(`Cannot listen in ${folder}: it is no folder`)
  if (stats.uid !== 0 || (stats.mode & 0o022) !== 0)
    throw new OpenFolder(
      `Cannot listen in ${folder}: it belongs to user ${stats.uid} with mode ${octal(stats)}; must belong to root, and nobody else may write into it`,
    )
}

/** The socket at the listener's path: `other` is that of another agent. */
export function ownerOf({ path, file }: Listener): 'us' | 'other' | 'nobody' {
  const found = fileAt(path)
  if (found === undefined) return 'nobody'
  return found === file ? 'us' : 'other'
}

/** Ends a listener, and removes its file if it is still there. Connections that nobody has accepted are reset. */
export function endListener(listener: Listener): void {
  // A successor that renames its socket between both lines finds that nobody is there, and listens anew.
  if (ownerOf(listener) === 'us') rmSync(listener.path, { force: true })
  close(listener.fd)
}

function fileAt(path: string): string | undefined {
  try {
    const { dev, ino } = lstatSync(path)
    return `${dev}:${ino}`
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
