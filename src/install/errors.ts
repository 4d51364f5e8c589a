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
  const hint =
    code === 'EPERM' ? '; it or its folder may be immutable: lsattr shows it, chattr -i ends it' : ''
  return new InstallError(`Cannot ${what} "${path}": ${named}${hint}`, { cause: error })
}

/** Makes sure that this process may change the node. @throws InstallError */
export function requireRoot(command: string, uid: number): void {
  if (uid !== 0)
    throw new InstallError(
      `Cannot ${command} as user ${uid}: must be root (with --root DIR, who may write there)`,
    )
}
