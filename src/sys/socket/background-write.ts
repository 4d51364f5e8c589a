/** Writes from a thread of libc, by POSIX AIO (aio(7)): the caller goes on while the kernel carries out what was written. */
import { bindLibc, pointerTo } from '../ffi.ts'

/** asm-generic/errno.h */
const EINPROGRESS = 115
/** SIGEV_NONE of asm-generic/siginfo.h. */
const SIGEV_NONE = 1
/** Places in struct aiocb of glibc and musl, which agree up to there on 64-bit machines; and room for the rest of either. */
const aiocb = { fildes: 0, buf: 16, nbytes: 24, notify: 44, size: 1024 } as const
/** Longest text, in bytes. */
const longest = 4096

/** A descriptor that one write at a time goes to. The thread begins with a write, and ends a second after the last one. */
export interface BackgroundWriter {
  /** Begins to write; false when the text is too long, when the last write is not over, or when there can be no thread. */
  write(text: Uint8Array): boolean
  /** The errno of the last write; 0 when it succeeded, undefined while it is not over. */
  error(): number | undefined
}

/**
 * Binds the functions. The thread begins in the caller's namespaces, so a caller that visits a pod must not write.
 * @throws SystemError; or the engine's error where libc has no such functions: glibc before 2.34 has them in another library
 */
export function backgroundWriter(fd: number): BackgroundWriter {
  const aio = bindLibc({
    aio_write: { args: ['ptr'], returns: 'i32' },
    aio_error: { args: ['ptr'], returns: 'i32' },
  })
  // The thread uses both after the caller has gone on. They live as long as this object, and the engine moves no array.
  const control = new Uint8Array(aiocb.size)
  const memory = new Uint8Array(longest)
  const view = new DataView(control.buffer)
  view.setInt32(aiocb.fildes, fd, true)
  view.setBigUint64(aiocb.buf, pointerTo(memory), true)
  view.setInt32(aiocb.notify, SIGEV_NONE, true)
  let isBegun = false
  const error = () => {
    const errno = isBegun ? aio.aio_error(control) : 0
    return errno === EINPROGRESS ? undefined : errno
  }
  return {
    write: (text) => {
      if (text.length > longest || error() === undefined) return false
      memory.set(text)
      view.setBigUint64(aiocb.nbytes, BigInt(text.length), true)
      isBegun = aio.aio_write(control) === 0
      return isBegun
    },
    error,
  }
}
