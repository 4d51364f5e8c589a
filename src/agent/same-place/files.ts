/** Looks at files as the kernel names them, below our own root directory and below that of another process. */
import { SystemError } from '../../sys/errno.ts'
import { callOrErrno, close } from '../../sys/ffi.ts'

/** linux/fcntl.h, linux/stat.h, linux/openat2.h */
const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
const STATX_INO = 0x100
const STATX_MNT_ID = 0x1000
const O_PATH = 0o10000000
const O_CLOEXEC = 0o2000000
const RESOLVE_IN_ROOT = 0x10

/** Numbers of x86-64 and arm64 (asm/unistd_64.h, asm-generic/unistd.h). */
const statxNumbers = [332, 291] as const
const openat2Numbers = [437, 437] as const

/** struct statx: mask at 0, inode at 32, device at 136, mount at 144. */
const statxBytes = 256
const none = Uint8Array.of(0)

/** A file as the kernel tells it from all others. */
export interface FileId {
  /** Device and inode. */
  readonly file: string
  /** Number of the mount that the path ends in; undefined before Linux 5.8. */
  readonly mount: bigint | undefined
}

/** The file at a path below our own root; undefined when nothing is there. @throws SystemError for any other reason */
export function fileAt(path: string): FileId | undefined {
  return statx(AT_FDCWD, bytesOf(path), 0)
}

/** The file that a descriptor is open on. @throws SystemError */
export function fileOf(fd: number): FileId | undefined {
  return statx(fd, none, AT_EMPTY_PATH)
}

/**
 * The file at a path below the root directory of another process, whose links and `..` lead nowhere else. Magic links, as those in
 * /proc/PID, are refused (ELOOP). Undefined when nothing is there.
 * @throws SystemError
 */
export function fileBelow(root: number, path: string): FileId | undefined {
  const fd = resultOf(
    'openat2',
    callOrErrno(openat2Numbers, [root, bytesOf(path), inRoot, inRoot.byteLength]),
  )
  if (fd === undefined) return undefined
  try {
    return fileOf(fd)
  } finally {
    close(fd)
  }
}

/** struct open_how: flags, mode, resolve. */
const inRoot = BigUint64Array.of(BigInt(O_PATH | O_CLOEXEC), 0n, BigInt(RESOLVE_IN_ROOT))

function statx(folder: number, path: Uint8Array, flags: number): FileId | undefined {
  const found = new DataView(new ArrayBuffer(statxBytes))
  const registers = [folder, path, flags, STATX_INO | STATX_MNT_ID, new Uint8Array(found.buffer)]
  if (resultOf('statx', callOrErrno(statxNumbers, registers)) === undefined) return undefined
  const device = `${found.getUint32(136, true)}:${found.getUint32(140, true)}`
  const hasMount = (found.getUint32(0, true) & STATX_MNT_ID) !== 0
  return {
    file: `${device}:${found.getBigUint64(32, true)}`,
    mount: hasMount ? found.getBigUint64(144, true) : undefined,
  }
}

/** asm-generic/errno-base.h */
const ENOENT = 2
const ENOTDIR = 20

/** The result of a system call; undefined when nothing is at its path. @throws SystemError */
function resultOf(call: string, result: number): number | undefined {
  if (result >= 0) return result
  if (result === -ENOENT || result === -ENOTDIR) return undefined
  throw new SystemError(call, -result)
}

const encoder = new TextEncoder()

function bytesOf(path: string): Uint8Array {
  return encoder.encode(`${path}\0`)
}
