/**
 * Kinds of errors that callers treat in their own way. A kind is a property of the error, so that a caller asks for it without
 * loading the layer that throws the error.
 *
 * - `refusal`: the kernel, or a program in its place, refused a request; the error has the errno's name as `code`
 * - `failed-operation`: an operation failed; `cause` has the reason
 * - `lock-timeout`: somebody else held a lock for too long
 * - `out-of-time`: the time of a whole call is over
 * - `port-taken`: a host port belongs to somebody else
 * - `unusable-record`: a record on disk is broken, or of a newer version
 * - `names-too-long`: the names of an attachment do not fit into the name of a record
 * - `caller-gone`: nobody waits for the answer of an ADD any more
 */
export type ErrorKind =
  | 'refusal'
  | 'failed-operation'
  | 'lock-timeout'
  | 'out-of-time'
  | 'port-taken'
  | 'unusable-record'
  | 'names-too-long'
  | 'caller-gone'

/** An error of a kind. */
export interface OfKind<K extends ErrorKind = ErrorKind> {
  readonly kind: K
}

/** True for an error of this kind. */
export function isOfKind<K extends ErrorKind>(error: unknown, kind: K): error is Error & OfKind<K> {
  return error instanceof Error && 'kind' in error && error.kind === kind
}
