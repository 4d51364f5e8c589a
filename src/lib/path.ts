/** The bytes that one part of a path may have (NAME_MAX of linux/limits.h). */
const longestPart = 255
/** Of a folder's path: PATH_MAX of linux/limits.h less room for the longest path below it that a plugin makes. */
const longestFolder = 4096 - 512

/**
 * True for the absolute path of a folder in which files can be made: without a NUL and text that UTF-8 can't express, of
 * at most 3584 bytes, and at most 255 between two slashes.
 */
export function isFolderPath(text: string): boolean {
  if (!text.startsWith('/') || text.length < 2 || !text.isWellFormed() || text.includes('\0')) return false
  return (
    Buffer.byteLength(text) <= longestFolder &&
    text.split('/').every((part) => Buffer.byteLength(part) <= longestPart)
  )
}
