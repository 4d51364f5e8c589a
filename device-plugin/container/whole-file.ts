/** Files that other programs read: CDI specs and device information. Each is whole or absent at any time. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { readOwnText, replaceFile } from '../../src/sys/files.ts'

/**
 * Writes a file for other programs, by a rename. Missing folders are made, readable for all.
 * @param mode permissions, such as 0o444
 * @throws FileError, and Node's errors of files
 */
export function writeForOthers(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  // The folders lie on a tmpfs: nothing in them outlives a boot.
  replaceFile(path, text, 'volatile', mode)
}

/** The text of such a file; undefined where there is none, or something else than a file. */
export function currentText(path: string): string | undefined {
  try {
    return readOwnText(path)
  } catch {
    return undefined
  }
}
