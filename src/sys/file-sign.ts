/** Short texts that tell one file from another at the same path, and one content from another, without reading the file. */
import { type BigIntStats, statSync } from 'node:fs'

/** A text that no other file or folder at this path has at another time; undefined: nothing is there. Links are followed. */
export function identityAt(path: string): string | undefined {
  const stat = statOf(path)
  // The number of an inode is given again soon; the time of birth tells the two apart.
  return stat && `${stat.dev} ${stat.ino} ${stat.birthtimeNs}`
}

/** Changes whenever another file stands at this path, or the file is written; '' when nothing can be found there. */
export function signOf(path: string): string {
  const stat = statOf(path)
  return stat === undefined ? '' : `${stat.dev} ${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.size}`
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    // A part of the path is no folder, or is forbidden.
    return undefined
  }
}
