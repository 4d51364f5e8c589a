/** Longest part of a path, in bytes (NAME_MAX of linux/limits.h). */
const longestPart = 255
/** Longest path of a folder, in bytes: PATH_MAX of linux/limits.h, less room for the longest path below it that a plugin makes. */
const longestFolder = 4096 - 512

/**
 * True for the absolute path of a folder in which files can be made: at most 3584 bytes, at most 255 between two slashes, no NUL,
 * and no text that UTF-8 can't express.
 */
export function isFolderPath(text: string): boolean {
  if (!text.startsWith('/') || text.length < 2 || !text.isWellFormed() || text.includes('\0')) return false
  return (
    Buffer.byteLength(text) <= longestFolder &&
    text.split('/').every((part) => Buffer.byteLength(part) <= longestPart)
  )
}

/** The parts of a path, without empty ones and dots. */
export function partsOf(path: string): readonly string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}

/** An absolute path without double slashes, dots, and a slash at its end; '' for `/`. */
export function plainPath(path: string): string {
  return partsOf(path)
    .map((part) => `/${part}`)
    .join('')
}

/** The path of the folder that a path is in, as dirname(3). Loading node:path takes some 0.3 ms. The path has no slash at its end. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf('/')
  if (slash < 0) return '.'
  return slash === 0 ? '/' : path.slice(0, slash)
}

/** The last part of a path, as basename(3). The path has no slash at its end. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
