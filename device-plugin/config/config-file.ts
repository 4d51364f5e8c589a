/** The config file on the disk. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** A look at the file: its text, or the reason why there is none, as a sentence. */
export type FileRead = { readonly text: string } | { readonly problem: string }

/** Largest file in bytes; a ConfigMap of Kubernetes holds 1 MiB. */
const mostBytes = 4 << 20

/** Reads the file. Never throws. */
export function readConfigFile(path: string): FileRead {
  try {
    // O_NONBLOCK: a FIFO at this path must not stop the process.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return contentOf(file, path)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    return { problem: `Cannot read ${path}: ${(error as Error).message}` }
  }
}

function contentOf(file: number, path: string): FileRead {
  const stat = fstatSync(file)
  if (!stat.isFile()) return { problem: `Cannot read ${path}: it is no regular file` }
  if (stat.size > mostBytes)
    return { problem: `Cannot read ${path}: it has ${stat.size} bytes; must be at most ${mostBytes}` }
  const buffer = Buffer.alloc(stat.size)
  return { text: buffer.toString('utf8', 0, readSync(file, buffer, 0, stat.size, 0)) }
}
