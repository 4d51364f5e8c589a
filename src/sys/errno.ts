import { errnoName } from '../lib/errno.ts'

/** A system call that failed. `code` is the errno's name as Node's own errors carry it (`EBUSY`). */
export class SystemError extends Error {
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

/** The errno name of any thrown value that has one (SystemError, Node's file errors); undefined otherwise. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
