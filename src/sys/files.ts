/** Small files that must be whole or absent: records, sysfs and procfs values. */
import {
  closeSync,
  constants,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { errorCode } from './errno.ts'

/** What a file must survive: a crash of the machine, or only one of this process (worth nothing after a boot). */
export type Durability = 'durable' | 'volatile'

/**
 * Replaces `path` by `text` so that after a crash at any point the old or the new content is there, never a part:
 * temporary file in the same folder, fsync, rename, fsync of the folder. Mode 0600; missing folders are made 0700.
 * Without the two fsyncs where `durability` is `volatile`.
 */
export function replaceFile(path: string, text: string, durability: Durability = 'durable'): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const temporary = `${folder}/.${basename(path)}.${process.pid}.tmp`
  const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600)
  try {
    try {
      // Not writeSync: a disk that is almost full takes a part and reports success.
      writeFileSync(fd, text)
      if (durability === 'durable') fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    removeFile(temporary, 'volatile')
    throw error
  }
  if (durability === 'durable') syncFolder(folder)
}

/** True for the name of a file that {@link replaceFile} writes before it takes its place. */
export function isTemporary(name: string): boolean {
  return temporaryOf(name) !== undefined
}

/** The file that a temporary one was to become, by its name; undefined for other names. */
export function temporaryOf(name: string): string | undefined {
  return /^\.(.+)\.\d+\.tmp$/.exec(name)?.[1]
}

/** Removes a file that was last written more than `milliseconds` ago. */
export function removeIfOlder(path: string, milliseconds: number): void {
  const age = ageOf(path)
  if (age !== undefined && age > milliseconds) removeFile(path, 'volatile')
}

/** Milliseconds since a file was last written, by the node's clock; undefined when it does not exist. */
export function ageOf(path: string): number | undefined {
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return written === undefined ? undefined : Date.now() - written
}

/** Makes a file count as written now; makes it, empty and for root only, where there is none. */
export function touch(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    const now = Date.now() / 1000
    futimesSync(fd, now, now)
  } finally {
    closeSync(fd)
  }
}

/** Removes a file and makes that durable, unless told that it need not be. Succeeds when it does not exist. */
export function removeFile(path: string, durability: Durability = 'durable'): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  if (durability === 'durable') syncFolder(dirname(path))
}

/** Renames a file within its folder and makes that durable. Succeeds when it does not exist. */
export function renameFile(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  syncFolder(dirname(to))
}

/** Content of a text file without the trailing newline; undefined when it does not exist (ENOENT, ENOTDIR, ENODEV). */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** Writes a sysfs or procfs value in one write(2). Throws what the kernel answered. */
export function writeValue(path: string, value: string): void {
  writeFileSync(path, value)
}

/** Names in a folder, sorted; empty when the folder does not exist. */
export function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path).sort()
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

/** Last component of what the symbolic link at `path` points to; undefined when there is no link. */
export function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path))
  } catch (error) {
    if (isAbsent(error) || errorCode(error) === 'EINVAL') return undefined
    throw error
  }
}

/** The path without symbolic links, `.` and `..`; undefined when nothing is there. */
export function realPath(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENODEV'
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
