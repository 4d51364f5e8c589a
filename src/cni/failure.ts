/** Turns errors of lower layers into the error object of the CNI specification, with the kernel's words and the stuck changes. */
import { isOfKind } from '../lib/error-kind.ts'
import { CniError, code } from './error.ts'

/** Errnos of a passing conflict with another program: the runtime may call again. */
const transient: ReadonlySet<string> = new Set(['EBUSY', 'EAGAIN', 'EINTR', 'ENOBUFS'])

/**
 * The CniError for an error from below a plugin: code 11 for a busy device or lock, 102 for other refusals of the kernel, 5
 * for records that can't be read or written. `stuck` lists the changes that could not be undone.
 */
export function failure(thrown: unknown, stuck: readonly string[] = []): CniError {
  const left = [...stuck, ...stuckOf(thrown)]
  if (thrown instanceof CniError) {
    if (left.length === 0) return thrown
    const details = [thrown.details, ...left].filter((part) => part !== undefined && part !== '').join('; ')
    return new CniError(thrown.code, thrown.message, { details, cause: thrown })
  }
  const details = left.length === 0 ? undefined : left.join('; ')
  const number = thrown instanceof Error ? codeFor(thrown) : undefined
  if (number !== undefined) return new CniError(number, (thrown as Error).message, { details, cause: thrown })
  const { code: internal, message } = CniError.from(thrown)
  return new CniError(internal, message, { details, cause: thrown })
}

/** Runs a verb. Every error leaves as the CniError of {@link failure}. */
export function explained<T>(verb: () => T): T {
  try {
    return verb()
  } catch (error) {
    throw failure(error)
  }
}

function codeFor(error: Error): number | undefined {
  if (isOfKind(error, 'unusable-record')) return code.ioFailure
  if (isOfKind(error, 'names-too-long'))
    return 'part' in error && error.part === 'subject' ? code.invalidConfig : code.invalidEnvironment
  const isOperation = isOfKind(error, 'failed-operation')
  const cause = isOperation ? error.cause : error
  // An operation can wait for the lock of a PF.
  if (isOfKind(cause, 'lock-timeout') || isOfKind(cause, 'caller-gone')) return code.tryAgainLater
  if (cause instanceof CniError) return cause.code
  if (isOfKind(cause, 'port-taken')) return code.portTaken
  const errno = errnoNameOf(cause)
  if (errno === undefined) return undefined
  if (transient.has(errno)) return code.tryAgainLater
  return isOperation || isOfKind(error, 'refusal') ? code.kernelRefused : code.ioFailure
}

function errnoNameOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if ('errnoName' in value && typeof value.errnoName === 'string') return value.errnoName
  return 'code' in value && typeof value.code === 'string' ? value.code : undefined
}

function stuckOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null || !('stuck' in value)) return []
  return Array.isArray(value.stuck) ? value.stuck.filter((line) => typeof line === 'string') : []
}

/** Throws one error for all `errors`, with the code of the first and the words of each; returns if there is none. */
export function throwJoined(errors: readonly CniError[]): void {
  const [first, ...rest] = errors
  if (first === undefined) return
  if (rest.length === 0) throw first
  const details = [first.details, ...rest.flatMap((error) => [error.message, error.details])]
  throw new CniError(first.code, first.message, {
    details: details.filter((part) => part !== undefined).join('; '),
    cause: first,
  })
}
