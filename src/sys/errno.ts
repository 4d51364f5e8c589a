import { errnoName } from '../lib/errno.ts'
import type { OfKind } from '../lib/error-kind.ts'

/** A system call that failed. `code` is the errno's name as Node's own errors carry it (`EBUSY`). */
export class SystemError extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly errno: number
  readonly code: string
  readonly syscall: string

  constructor(syscall: string, errno: number, explanation?: string) {
    super(`${syscall}: ${errnoName(errno)}${explanation === undefined ? '' : `: ${explanation}`}`)
    this.name = 'SystemError'
    this.errno = errno
    this.code = errnoName(errno)
    this.syscall = syscall
  }
}

/** A program could not be started. `code` is the name of the errno of clone(2) or execve(2). */
export class ChildError extends Error {
  readonly code: string

  constructor(errno: number, file: string) {
    super(`${errnoName(errno)}: posix_spawn '${file}'`)
    this.name = 'ChildError'
    this.code = errnoName(errno)
  }
}

/** A file could not be used. The message is Node's, with the path, which Node leaves out for operations on a descriptor. */
export class FileError extends Error {
  readonly code: string
  readonly path: string

  private constructor(path: string, code: string, words: string, cause?: unknown) {
    super(words, cause === undefined ? undefined : { cause })
    this.name = 'FileError'
    this.code = code
    this.path = path
  }

  /** Adds the path to the error of a file that lacks it; returns any other error as it is. */
  static at(path: string, thrown: unknown): unknown {
    const code = errorCode(thrown)
    if (!(thrown instanceof Error) || code === undefined || thrown.message.includes(path)) return thrown
    return new FileError(path, code, `${thrown.message} '${path}'`, thrown)
  }

  /** Another kind of file stands where a file of ours belongs. */
  static notRegular(path: string): FileError {
    return new FileError(path, 'EINVAL', `EINVAL: '${path}' is no regular file`)
  }
}

/** The errno name of any thrown value that has one (SystemError, Node's file errors); undefined otherwise. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
