/**
 * Files whose text decides what this program does as root: regular ones that nobody but root can have written. Opening one
 * waits for nobody, whatever lies at its path.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'

/** A file that is there and must not be used. `message` is the reason, in words that follow the file's name. */
export class UntrustedFile extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'UntrustedFile'
  }
}

/** O_NONBLOCK: a FIFO is opened at once, and then refused. */
const readFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/**
 * The text of a file that decides something. Symbolic links are followed: who can place one can place a file.
 * @throws UntrustedFile when it is not regular or somebody else than root can change it; Node file errors, ENOENT too
 */
export function readTrusted(path: string): string {
  const fd = openSync(path, readFlags)
  try {
    const stats = fstatSync(fd)
    requireRegular(stats)
    requireOwn(stats)
    if ((stats.mode & 0o022) !== 0)
      throw new UntrustedFile(
        `others may write it (mode ${octal(stats)}), must be writable for its owner alone`,
      )
    return readFileSync(fd, 'utf8')
  } finally {
    closeSync(fd)
  }
}

/** @throws UntrustedFile for a FIFO, a folder, a device, a socket */
export function requireRegular(stats: Stats): void {
  if (!stats.isFile()) throw new UntrustedFile(`it is ${kindOf(stats)}, must be a regular file`)
}

/** @throws UntrustedFile unless it belongs to root or to the user of this process */
export function requireOwn({ uid }: Pick<Stats, 'uid'>): void {
  if (!isOwn(uid)) throw new UntrustedFile(`it belongs to user ${uid}, must belong to root`)
}

/** True for root, and for the user of this process: who calls us as another one than root has given us no more rights than his. */
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
