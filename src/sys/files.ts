/** Small files that must be whole or absent: records, sysfs and procfs values. */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { folderOf, lastPart } from '../lib/path.ts'
import { errorCode, FileError } from './errno.ts'

/** The crash that a file must survive: one of the machine, or only one of this process (the file is worth nothing after a boot). */
export type Durability = 'durable' | 'volatile'

/**
 * Replaces `path` by `text`. After a crash at any point the file has the old or the new content, never a part of one:
 * temporary file in the same folder, fsync, rename, fsync of the folder. Mode 0600 unless `mode` says another one; missing folders are
 * made 0700. With `volatile` there are no fsyncs.
 */
export function replaceFile(
  path: string,
  text: string,
  durability: Durability = 'durable',
  mode = 0o600,
): void {
  const temporary = temporaryAt(path)
  const fd = openMade(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL)
  try {
    closing(fd, () => {
      // Beside the umask of the process.
      if (mode !== 0o600) fchmodSync(fd, mode)
      // Not writeSync, which on a disk that is almost full writes a part and reports success.
      writeFileSync(fd, text)
      if (durability === 'durable') fsyncSync(fd)
    })
    renameSync(temporary, path)
  } catch (error) {
    removeFile(temporary, 'volatile')
    throw FileError.at(path, error)
  }
  if (durability === 'durable') syncFolder(folderOf(path))
}

/** Opens a file that may have to be made, with mode 0600. Folders are made 0700 where they are missing. @throws Node's errors of files */
export function openMade(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    mkdirSync(folderOf(path), { recursive: true, mode: 0o700 })
    return openSync(path, flags, 0o600)
  }
}

/** Longest name of a file, in bytes: NAME_MAX of linux/limits.h. */
const longestName = 255

/**
 * A path for a temporary file that is to become `path`; its name is never longer than a name may be. The number is random: processes in
 * different PID namespaces may have the same PID.
 */
export function temporaryAt(path: string): string {
  const end = `.${Math.floor(Math.random() * 1e15)}.tmp`
  let start = lastPart(path)
  while (Buffer.byteLength(start) > longestName - 1 - end.length) start = start.slice(0, -1)
  return `${folderOf(path)}/.${start}${end}`
}

/**
 * Tries whether `bytes` can be written: makes a file of that size in a folder, which is made too, and removes it. The file has the
 * name of a temporary file of {@link replaceFile} for `name`, so whoever clears the folder may remove it at any time.
 * @throws FileError, and Node's errors of files, where there is no room or nothing may be written
 */
export function tryToWrite(folder: string, name: string, bytes: number): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const path = temporaryAt(`${folder}/${name}`)
  try {
    writeFileSync(path, new Uint8Array(bytes), { mode: 0o600 })
  } catch (error) {
    throw FileError.at(path, error)
  } finally {
    removeFile(path, 'volatile')
  }
}

/** True for the name of a temporary file of {@link replaceFile}. */
export function isTemporary(name: string): boolean {
  return temporaryOf(name) !== undefined
}

/** The name of the file that a temporary file was to become; undefined for other names. */
export function temporaryOf(name: string): string | undefined {
  return /^\.(.+)\.\d+\.tmp$/.exec(name)?.[1]
}

/** Removes a file that was last written more than `milliseconds` ago. */
export function removeIfOlder(path: string, milliseconds: number): void {
  const age = ageOf(path)
  if (age !== undefined && age > milliseconds) removeLeftover(path)
}

/** Removes a file that nobody uses any more. A folder of that name is not ours and stays. */
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

/** Sets the time of a file to now. Makes the file, empty and for root only, where there is none. */
export function touch(path: string): void {
  // Not blocking: opening a FIFO in its place fails at once (ENXIO).
  const fd = openMade(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK)
  closing(fd, () => futimesSync(fd, new Date(), new Date()))
}

/** Removes a file, durably unless `volatile`. Succeeds when no such file can exist. */
export function removeFile(path: string, durability: Durability = 'durable'): void {
  try {
    unlinkSync(path)
  } catch (error) {
    // A read-only file system answers EROFS before it checks that the file exists.
    if (isAbsent(error) || (errorCode(error) === 'EROFS' && !isThere(path))) return
    throw error
  }
  if (durability === 'durable') syncFolder(folderOf(path))
}

/** Renames a file within its folder, durably. Succeeds when the file does not exist. */
export function renameFile(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (isAbsent(error)) return
    throw error
  }
  syncFolder(folderOf(to))
}

/** Content of a file of sysfs or procfs without the trailing newline; undefined when there can be none. */
export function readText(path: string): string | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOCTTY)
    return closing(fd, () => readToEnd(fd).replace(/\n$/, ''))
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw FileError.at(path, error)
  }
}

/** Largest file of ours, in bytes: a record of a thousand port mappings has a few million. */
const mostBytes = 64 << 20

/**
 * Content of a file of ours without the trailing newline; undefined when no such file can exist. Never waits, even where somebody
 * has put a FIFO or a device in its place.
 * @throws FileError EINVAL for anything but a regular file, EFBIG for more than 64 MiB
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
    // A FIFO without a writer is empty too, so only an empty text is worth the check.
    if (text === '' && !fstatSync(fd).isFile()) throw FileError.notRegular(path)
    return text.replace(/\n$/, '')
  } catch (error) {
    const isUnready = ['EAGAIN', 'EISDIR'].includes(errorCode(error) ?? '')
    throw isUnready ? FileError.notRegular(path) : FileError.at(path, error)
  } finally {
    closeSync(fd)
  }
}

/**
 * Files begin in this buffer and are copied out of it: for a thousand records, buffers would cost more than the reading. For a sysctl the
 * kernel clears as much memory as the read asks for (proc_sys_call_handler() of fs/proc/proc_sysctl.c).
 */
let beginning: Buffer | undefined

function readToEnd(fd: number): string {
  beginning ??= Buffer.allocUnsafeSlow(16 << 10)
  const parts: Uint8Array[] = []
  let free: Uint8Array = beginning
  for (let size = 0; ; ) {
    const length = readSync(fd, free)
    const isShort = parts.length === 0
    if (length === 0) return (isShort ? beginning : Buffer.concat(parts)).toString('utf8', 0, size)
    size += length
    if (size > mostBytes)
      throw Object.assign(new RangeError(`EFBIG: more than ${mostBytes} bytes`), { code: 'EFBIG' })
    if (!isShort) parts.push(free.subarray(0, length))
    else if (length === free.length) parts.push(new Uint8Array(beginning))
    free = length < free.length ? free.subarray(length) : Buffer.allocUnsafe(1 << 20)
  }
}

/** Writes a sysfs or procfs value in one write(2). Throws the kernel's refusal. */
export function writeValue(path: string, value: string): void {
  writeFileSync(path, value)
}

/** Names in a folder, sorted; empty when the folder does not exist. */
export function listFolder(path: string): readonly string[] {
  return ifThere(() => readdirSync(path).sort()) ?? []
}

/** Last component of the target of the symbolic link at `path`; undefined when there is no link. */
export function linkName(path: string): string | undefined {
  const target = linkTarget(path)
  return target === undefined ? undefined : lastPart(target)
}

/** The target of the symbolic link at `path`, as the link has it; undefined when there is no link. */
export function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (isAbsent(error) || errorCode(error) === 'EINVAL') return undefined
    throw error
  }
}

/** The inode number of the file at `path`; sysfs gives no number twice. Undefined when nothing is there. */
export function inodeOf(path: string): string | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino.toString()
}

/** The path without symbolic links, `.` and `..`; undefined when nothing is there. */
export function realPath(path: string): string | undefined {
  return ifThere(() => realpathSync(path))
}

/** The value; undefined when nothing can be at its path. */
function ifThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** True for errors that say that nothing can be at a path: the path may also be too long, or a circle of links. */
function isAbsent(error: unknown): boolean {
  const code = errorCode(error) ?? ''
  return ['ENOENT', 'ENOTDIR', 'ENODEV', 'ENAMETOOLONG', 'ELOOP'].includes(code)
}

/** True where something is at `path`; false for a link that leads nowhere. */
export function isThere(path: string): boolean {
  return ifThere(() => statSync(path, { throwIfNoEntry: false })) !== undefined
}

/** True where a folder has an entry at `path`, even if that is a link that leads nowhere. */
export function isEntry(path: string): boolean {
  return ifThere(() => lstatSync(path, { throwIfNoEntry: false })) !== undefined
}

/** Has the disk keep what a folder lists. @throws Node's errors of files */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  closing(fd, () => fsyncSync(fd))
}

/** Closes the file when `use` has ended. */
export function closing<T>(fd: number, use: () => T): T {
  try {
    return use()
  } finally {
    closeSync(fd)
  }
}
