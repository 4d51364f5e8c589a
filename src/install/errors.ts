import { errorCode } from '../sys/errno.ts'

/** A reason for which the installer changes nothing, or has taken everything back. The message is for the operator. */
export class InstallError extends Error {
  override readonly name = 'InstallError'
}

/** The words of a failed step: the path, and what the kernel says of it. */
export function stepFailed(what: string, path: string, error: unknown): InstallError {
  const words = error instanceof Error ? error.message : String(error)
  const code = errorCode(error)
  const named = code === undefined || words.includes(code) ? words : `${code}: ${words}`
  return new InstallError(`Cannot ${what} "${path}": ${named}`, { cause: error })
}
