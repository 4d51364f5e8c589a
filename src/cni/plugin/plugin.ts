import type { Request } from '../request.ts'
import type { Result } from '../result.ts'

/** The verbs of a plugin. A verb throws to fail: a CniError chooses the code, any other error becomes an internal error (199). */
export interface Plugin {
  readonly name: string
  /** One line for humans who start the program by hand. */
  readonly about: string
  add(request: Request): Result
  del(request: Request): void
  check(request: Request): void
  gc(request: Request): void
  status(request: Request): void
  /**
   * Removes what an ADD of the same attachment has left that a worker had when it died. `request` is that of a DEL, with the config of the
   * ADD. Without this it is `del`.
   */
  removeLost?(request: Request): void
}
