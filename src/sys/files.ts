/** Small files that must be whole or absent: records, sysfs and procfs values. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { errorCode, FileError } from './errno.ts'

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
  const temporary = `${folder}/${temporaryName(basename(path))}`
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
    throw FileError.at(path, error)
  }
  if (durability === 'durable') syncFolder(folder)
}

/** NAME_MAX of linux/limits.h: the bytes that the name of a file may have. */
const longestName = 255

/** The name of the file that takes the place of `name`; it is no longer than a name may be. */
function temporaryName(name: string): string {
  const end = `.${process.pid}.tmp`
  let start = name
  while (Buffer.byteLength(start) > longestName - 1 - end.length) start = start.slice(0, -1)
  return `.${start}${end}`
}

/**
 * Makes a file of so many bytes in a folder, which is made too, and takes it away. Its name is that of one that
 * {@link replaceFile} is about to put in the place of `name`: whoever clears the folder may take it away at any time.
 * @throws FileError, and Node's errors of files, where there is no room or nothing may be written
 */
export function tryToWrite(folder: string, name: string, bytes: number): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = `${folder}/${temporaryName(name)}`
  try {
    writeFileSync(path, new Uint8Array(bytes), { mode: 0o600 })
  } catch (error) {
    throw FileError.at(path, error)
  } finally {
    removeFile(path, 'volatile')
  }
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
  if (age !== undefined && age > milliseconds) removeLeftover(path)
}

/** Removes a file that nobody uses any more. A folder of that name is none of ours: it stays. */
export function removeLeftover(path: string): void {
  try {
    removeFile(path, 'volatile')
  } catch (error) {
    if (errorCode(error) !== 'EISDIR') throw error
  }
}

/** Milliseconds since a file was last written, by the node's clock; undefined when it does not exist. */
export function ageOf(path: string): number | undefined {
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return written === undefined ? undefined : Date.now() - written
}

/** Makes a file count as written now; makes it, empty and for root only, where there is none. */
export function touch(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Not blocking: a FIFO in its place is refused (ENXIO), not waited for.
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK, 0o600)
  try {
    const now = Date.now() / 1000
    futimesSync(fd, now, now)
  } finally {
    closeSync(fd)
  }
}

/** Removes a file and makes that durable, unless told that it need not be. Succeeds when it can't exist. */
export function removeFile(path: string, durability: Durability = 'durable'): void {
  try {
    unlinkSync(path)
  } catch (error) {
    // A file system that is read-only says so before it looks whether there is such a file.
    if (isAbsent(error) || (errorCode(error) === 'EROFS' && !isThere(path))) return
    throw error
  }
  if (durability === 'durable') syncFolder(dirname(path))
}

/** Renames a file within its folder and makes that durable. Succeeds when it does not exist. */
export function renameFile(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (isAbsent(error)) return
    throw error
  }
  syncFolder(dirname(to))
}

/** Content of a file of sysfs or procfs without the trailing newline; undefined when there can be none. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').replace(/\n$/, '')
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw FileError.at(path, error)
  }
}

/** The most bytes that a file of ours may have: a record of a thousand port mappings has a few million. */
const mostBytes = 64 << 20

/**
 * Content of a file of ours without the trailing newline; undefined when there can be none. Never waits, whatever somebody
 * has put in its place: a FIFO, a device.
 * @throws FileError EINVAL for what is no regular file, EFBIG for more than 64 MiB
 */
export function readOwnText(path: string): string | undefined {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw FileError.at(path, error)
  }
  try {
    const text = readToEnd(fd)
    // A FIFO without a writer is empty too. Only then is it worth the question.
    if (text === '' && !fstatSync(fd).isFile()) throw FileError.notRegular(path)
    return text.replace(/\n$/, '')
  } catch (error) {
    const isUnready = ['EAGAIN', 'EISDIR'].includes(errorCode(error) ?? '')
    throw isUnready ? FileError.notRegular(path) : FileError.at(path, error)
  } finally {
    closeSync(fd)
  }
}

function readToEnd(fd: number): string {
  const parts: Uint8Array[] = []
  // The end of a small file is seen with the same buffer: a large one for nothing is most of what reading it costs.
  let free = Buffer.allocUnsafe(16 << 10)
  for (let size = 0; ; ) {
    const length = readSync(fd, free)
    if (length === 0) break
    size += length
    if (size > mostBytes)
      throw Object.assign(new RangeError(`EFBIG: more than ${mostBytes} bytes`), { code: 'EFBIG' })
    parts.push(free.subarray(0, length))
    free = length < free.length ? free.subarray(length) : Buffer.allocUnsafe(1 << 20)
  }
  return Buffer.concat(parts).toString('utf8')
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

/** The number by which its file system knows what is at `path`, of which sysfs gives none twice; undefined when nothing is there. */
export function inodeOf(path: string): string | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino.toString()
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

/** True for what the kernel says of a path where nothing can be: also one that is too long, or goes round in links. */
function isAbsent(error: unknown): boolean {
  const code = errorCode(error) ?? ''
  return ['ENOENT', 'ENOTDIR', 'ENODEV', 'ENAMETOOLONG', 'ELOOP'].includes(code)
}

/** True where something is at `path`, a link that leads nowhere apart. */
export function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (isAbsent(error)) return false
    throw error
  }
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
