/** The outcome of a child process that has ended. */
export interface Ended {
  /** Exit code; null if it didn't start or a signal ended it. */
  readonly status: number | null
  readonly signal: string | null
  readonly stdout: string
  /** Set if it didn't start (`code` is the errno's name) or printed more than {@link maxOutput} (ENOBUFS). */
  readonly error?: (Error & { readonly code?: string }) | undefined
}

/**
 * Runs a program with `stdin` as its input and only `env` as its environment, and waits for its end. The program inherits the
 * descriptor `held`, if given, as number 3: a lock on that descriptor lasts until the program ends, even if this process dies.
 */
export type Spawn = (
  file: string,
  stdin: string,
  env: Readonly<Record<string, string>>,
  held?: number,
) => Ended

/** The most bytes of output that a child may print; a result has a few hundred. */
export const maxOutput = 16 << 20

/** The {@link Spawn} that runs a child; it writes to our stderr. */
export const spawnChild: Spawn = (file, stdin, env, held) =>
  typeof Bun === 'undefined' ? spawnInNode(file, stdin, env, held) : spawnInBun(file, stdin, env, held)

/** Uses Bun's own call: loading node:child_process takes 3 ms, as long as a whole Go plugin. */
const spawnInBun: Spawn = (file, stdin, env, held) => {
  try {
    const child = Bun.spawnSync([file], {
      stdio: [new TextEncoder().encode(stdin), 'pipe', 'inherit', ...(held === undefined ? [] : [held])],
      env: { ...env },
      maxBuffer: maxOutput,
    })
    return {
      status: child.signalCode ? null : child.exitCode,
      signal: child.signalCode ? String(child.signalCode) : null,
      stdout: child.stdout.toString(),
      error: child.exitedDueToMaxBuffer ? tooMuch() : undefined,
    }
  } catch (error) {
    return { status: null, signal: null, stdout: '', error: error as Error }
  }
}

const spawnInNode: Spawn = (file, stdin, env, held) => {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { status, signal, stdout, error } = spawnSync(file, [], {
    input: stdin,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'inherit', ...(held === undefined ? [] : [held])],
    encoding: 'utf8',
    maxBuffer: maxOutput,
  })
  // Node reports EPIPE for a child that leaves its input unread. Bun hands the input over in a file and reports nothing.
  const failed = error !== undefined && (error as { code?: string }).code !== 'EPIPE'
  return { status, signal, stdout: stdout ?? '', error: failed ? error : undefined }
}

function tooMuch(): Error & { code: string } {
  return Object.assign(new RangeError(`printed more than ${maxOutput} bytes`), { code: 'ENOBUFS' })
}
