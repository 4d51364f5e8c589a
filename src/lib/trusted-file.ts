/**
 * Files whose text decides about the work of this program as root: regular files that nobody but root can have written. Opening
 * one never waits, whatever lies at its path.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/** A file that exists and must not be used. `message` is the reason, in words that follow the file's name. */
export class UntrustedFile extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'UntrustedFile'
  }
}

/** O_NONBLOCK: opening a FIFO returns at once, and the FIFO is refused. */
const readFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/**
 * The text of a trusted file. Symbolic links are followed: whoever can place a link can place a file.
 * @param most bytes that the file may have
 * @throws UntrustedFile when the file is not regular, too large, or somebody but root can change it; Node file errors, ENOENT too
 */
export function readTrusted(path: string, most = Number.POSITIVE_INFINITY): string {
  const fd = openSync(path, readFlags)
  try {
    const stats = fstatSync(fd)
    requireRegular(stats)
    requireOwn(stats)
    if ((stats.mode & 0o022) !== 0)
      throw new UntrustedFile(
        `others may write it (mode ${octal(stats)}); must be writable for its owner alone`,
      )
    if (stats.size > most) throw new UntrustedFile(`it has ${stats.size} bytes; must have at most ${most}`)
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** @throws UntrustedFile for a FIFO, a folder, a device, a socket */
export function requireRegular(stats: Stats): void {
  if (!stats.isFile()) throw new UntrustedFile(`it is ${kindOf(stats)}; must be a regular file`)
}

/** @throws UntrustedFile unless it belongs to root or to the user of this process */
export function requireOwn({ uid }: Pick<Stats, 'uid'>): void {
  if (!isOwn(uid)) throw new UntrustedFile(`it belongs to user ${uid}; must belong to root`)
}

/** True for root, and for the user of this process: a caller who runs us as that user gives us no more rights than the user has. */
export function isOwn(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.()
}

/** The permissions of a file as people write them: `0644`. */
export function octal({ mode }: Pick<Stats, 'mode'>): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

function kindOf(stats: Stats): string {
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isDirectory()) return 'a folder'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}
