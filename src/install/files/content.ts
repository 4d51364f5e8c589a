/** Contents of files, as the installer compares them. */
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs'

/** The content of a path. Of a link the target counts, of a file its bytes and its mode. */
export type Content =
  | { readonly kind: 'file'; readonly size: number; readonly sha256: string; readonly mode: number }
  | { readonly kind: 'link'; readonly target: string }

/** SHA-256 of a text, as hex. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** True where both are the same, whatever their modes. */
export function isSame(one: Content, other: Content): boolean {
  return one.kind === 'link'
    ? other.kind === 'link' && one.target === other.target
    : other.kind === 'file' && one.sha256 === other.sha256
}

/** Reads contents. A file of 100 MB has several names in an install, so that each inode is read once. */
export class Contents {
  readonly #hashes = new Map<string, string>()

  /** The content of `path`; `other` for a folder, a device, a socket; undefined where nothing is. @throws Node's errors of files */
  at(path: string): Content | 'other' | undefined {
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return undefined
    if (stats.isSymbolicLink()) return { kind: 'link', target: readlinkSync(path) }
    if (!stats.isFile()) return 'other'
    const key = `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
    const sha256 = this.#hashes.get(key) ?? hashOfFile(path)
    this.#hashes.set(key, sha256)
    return { kind: 'file', size: Number(stats.size), sha256, mode: Number(stats.mode) & 0o7777 }
  }
}

function hashOfFile(path: string): string {
  const fd = openSync(path, 'r')
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(1 << 20)
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
      hash.update(buffer.subarray(0, count))
    return hash.digest('hex')
  } finally {
    closeSync(fd)
  }
}
