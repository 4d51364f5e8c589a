/** The outcome of a child process that has ended. */
export interface Ended {
  /** Exit code; null if it didn't start or a signal ended it. */
  readonly status: number | null
  readonly signal: string | null
  readonly stdout: string
  /** Its stderr, where that was collected; without it the child wrote to our stderr. */
  readonly stderr?: string | undefined
  /** Set if it didn't start (`code` is the errno's name) or printed more than {@link maxOutput} (ENOBUFS). */
  readonly error?: (Error & { readonly code?: string }) | undefined
}

/** A child process that was started. */
export interface Running {
  /** Waits for its end. To be called once. */
  end(): Ended
}

/**
 * Starts a program with `stdin` as its input and only `env` as its environment, and does not wait for it. The program inherits the
 * descriptor `held`, if given, as number 3: a lock on that descriptor lasts until the program ends, even if this process dies. Never
 * throws: the end of a program that did not start has an `error`.
 */
export type Spawn = (
  file: string,
  stdin: string,
  env: Readonly<Record<string, string>>,
  held?: number,
) => Running

/** The most bytes of output that a child may print; a result has a few hundred. */
export const maxOutput = 16 << 20
