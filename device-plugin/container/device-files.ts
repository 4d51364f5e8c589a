/** Device files as this process sees them. */
import { isThere } from '../../src/sys/files.ts'
import type { Exists } from './nodes.ts'

/** Looks for `/dev/...` below `dev`, the folder at which this process sees the node's `/dev`. */
export function existsBelow(dev: string): Exists {
  return (path) => isThere(`${dev}${path.slice('/dev'.length)}`)
}
