// Commands over one connection to the agent. In: calls, and frames that arrive. Out: frames to send, and the
// results. Knows neither QEMU nor sockets. Imports the frame format only.
import type { Frame, Reply, Request } from './protocol.ts'

/** The end of a process and its output. `code` is 128 + the signal's number when a signal ended it. */
export interface ExecResult {
  readonly code: number
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  /** The bytes that `stdout` was decoded from. */
  readonly stdoutBytes: Uint8Array
}

/** Options of a process in the guest. */
export interface ExecOptions {
  /** All of standard input; without it standard input is empty. */
  readonly stdin?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** Nothing but `env` in the environment. */
  readonly cleanEnv?: boolean
  /** Folder to run in, default the checkout. */
  readonly cwd?: string
  /** Milliseconds after which the process and its children are killed and the call fails; 0 means never. Default 120,000. */
  readonly timeoutMs?: number
  readonly onStdout?: (data: Uint8Array) => void
  readonly onStderr?: (data: Uint8Array) => void
}

/** A process in the guest, started without waiting for its end. */
export interface LabProcess {
  readonly pid: number
  /** Sends a signal, default SIGTERM, to the process and the children in its session. */
  kill(signal?: string): void
  /** Writes to standard input; only if the process was started without `stdin`. */
  write(data: string | Uint8Array): void
  /** Closes standard input. */
  end(): void
  /** Its output so far. */
  stdout(): string
  stderr(): string
  /** Resolves when the process has ended. Fails on a timeout and when the machine dies. */
  wait(): Promise<ExecResult>
}

/** One client of the agent. */
export interface Channel {
  spawn(argv: readonly string[], options?: ExecOptions): Promise<LabProcess>
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>
  read(path: string): Promise<Uint8Array>
  write(path: string, data: Uint8Array, mode: number): Promise<void>
  /** Takes every frame that arrives. */
  receive(frame: Frame<Reply>): void
  /** Fails all pending calls, and every later call, with this message. */
  fail(message: string): void
}

interface Pending {
  readonly what: string
  readonly receive: (frame: Frame<Reply>) => void
  readonly reject: (error: Error) => void
}

const TIMEOUT_MS = 120_000
const PIECE_BYTES = 32 * 1024

/** `prefix` makes ids unique among the clients of one agent; `describe` adds the console's tail to a failure. */
export function channel(
  prefix: string,
  send: (header: Request, data?: Uint8Array) => void,
  describe: () => string,
): Channel {
  const pending = new Map<string, Pending>()
  let dead: string | undefined
  let count = 0

  function request(what: string, make: (id: string) => void, pend: Omit<Pending, 'what'>): string {
    if (dead !== undefined) {
      pend.reject(new Error(`Cannot ${what}: ${dead}`))
      return ''
    }
    const id = `${prefix}${count++}`
    pending.set(id, { what, ...pend })
    make(id)
    return id
  }

  function spawn(argv: readonly string[], options: ExecOptions = {}): Promise<LabProcess> {
    const out: Uint8Array[] = []
    const err: Uint8Array[] = []
    const what = `run '${argv.join(' ').slice(0, 200)}' in the lab`
    const { promise: ended, resolve: end, reject: rejectEnded } = deferred<ExecResult>()
    // A failed process that nobody waits for must not end the host.
    ended.catch(() => undefined)
    return new Promise((resolveStarted, rejectStarted) => {
      const reject = (error: Error) => {
        rejectStarted(error)
        rejectEnded(error)
      }
      const receive = ({ header, data }: Frame<Reply>): void => {
        if (header.t === 'started') {
          resolveStarted(process(header.pid))
        } else if (header.t === 'out') {
          const [parts, tell] = header.fd === 1 ? [out, options.onStdout] : [err, options.onStderr]
          parts.push(data)
          tell?.(data)
        } else if (header.t === 'failed') {
          pending.delete(id)
          reject(new Error(`Cannot ${what}: ${header.message}`))
        } else if (header.t === 'exit') {
          pending.delete(id)
          const result = resultOf(header.code, header.signal, Buffer.concat(out), Buffer.concat(err))
          if (header.timedOut)
            reject(new Error(`Cannot ${what}: no end after ${timeoutMs} ms${printed(result)}`))
          else end(result)
        }
      }
      const { env = {}, cleanEnv = false, cwd = null, timeoutMs = TIMEOUT_MS, stdin } = options
      const make = (id: string): void => {
        send({ t: 'spawn', id, argv, env, cleanEnv, cwd, timeoutMs })
        if (stdin !== undefined) input(id, stdin)
      }
      const id = request(what, make, { receive, reject })
      const process = (pid: number): LabProcess => ({
        pid,
        kill: (signal = 'SIGTERM') => send({ t: 'kill', id, signal }),
        write: (data) => inputPieces(id, data),
        end: () => send({ t: 'eof', id }),
        stdout: () => text(Buffer.concat(out)),
        stderr: () => text(Buffer.concat(err)),
        wait: () => ended,
      })
    })
  }

  function input(id: string, data: string | Uint8Array): void {
    inputPieces(id, data)
    send({ t: 'eof', id })
  }

  function inputPieces(id: string, data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      send({ t: 'stdin', id }, bytes.subarray(at, at + PIECE_BYTES))
    }
  }

  function transfer(what: string, make: (id: string) => void): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const parts: Uint8Array[] = []
      const receive = ({ header, data }: Frame<Reply>): void => {
        if (header.t === 'out') parts.push(data)
        if (header.t !== 'done' && header.t !== 'failed') return
        pending.delete(id)
        if (header.t === 'done') resolve(Buffer.concat(parts))
        else reject(new Error(`Cannot ${what}: ${header.message}`))
      }
      const id = request(what, make, { receive, reject })
    })
  }

  return {
    spawn,
    exec: async (argv, options = {}) => (await spawn(argv, { stdin: '', ...options })).wait(),
    read: (path) => transfer(`read ${path} in the lab`, (id) => send({ t: 'read', id, path })),
    write: async (path, data, mode) => {
      await transfer(`write ${path} in the lab`, (id) => send({ t: 'write', id, path, mode }, data))
    },
    receive: (frame) => {
      if ('id' in frame.header) pending.get(frame.header.id)?.receive(frame)
    },
    fail: (message) => {
      if (dead !== undefined) return
      dead = message
      for (const { what, reject } of pending.values()) {
        reject(new Error(`Cannot ${what}: ${message}\n${describe()}`))
      }
      pending.clear()
    },
  }
}

/** stdout and stderr, for the end of an error message. */
export function printed({ stdout, stderr }: Pick<ExecResult, 'stdout' | 'stderr'>): string {
  return `${stdout === '' ? '' : `\nstdout:\n${stdout}`}${stderr === '' ? '' : `\nstderr:\n${stderr}`}`
}

function resultOf(
  code: number | null,
  signal: string | null,
  stdoutBytes: Uint8Array,
  stderr: Uint8Array,
): ExecResult {
  const number = signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0)
  return { code: code ?? 128 + number, signal, stdout: text(stdoutBytes), stderr: text(stderr), stdoutBytes }
}

// signal(7), x86: the signals that end a process in a test.
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  return { promise, resolve, reject }
}
