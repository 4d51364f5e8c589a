// One connection to the agent of a machine, from its first frame on: greeting, watchdog, commands. In: a carrier of frames.
// Out: a Lab. Knows neither QEMU nor namespaces. Imports node: modules and this folder.
import { existsSync, readFileSync } from 'node:fs'
import {
  type Channel,
  channel,
  type ExecOptions,
  type ExecResult,
  type LabProcess,
  printed,
} from './channel.ts'
import { encodeFrame, type Frame, type Reply, type Request } from './protocol.ts'

/** A running machine. Every call fails with the end of the console log when the guest hangs or dies. */
export interface Lab {
  /** `uname -r` of the guest. */
  readonly kernel: string
  /** For `bootLab({ attach })` in other processes. */
  readonly socket: string
  /** Runs a program to its end. Fails when the program can't start or times out, not for its exit code. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** {@link exec} of `sh -c script`. */
  sh(script: string, options?: ExecOptions): Promise<ExecResult>
  /** {@link sh} that fails for any exit code but 0, with all output. Returns standard output. */
  must(script: string, options?: ExecOptions): Promise<string>
  /** Starts a program and returns at once. */
  spawn(argv: readonly string[], options?: ExecOptions): Promise<LabProcess>
  /** A file in the guest as text. */
  readFile(path: string): Promise<string>
  /** Writes a file in the guest, and the folders above it; mode default 0644. */
  writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>
  /**
   * Makes the guest forget the host's files. Needed after a change on the host to a file that the guest may have read, or looked
   * for: the guest does not ask again by itself.
   */
  refresh(): Promise<void>
  /** Loads kernel modules with their parameters (`bonding max_bonds=0`); does nothing on a machine without a kernel of its own. */
  load(...modules: readonly string[]): Promise<void>
  /** The messages of the guest's kernel so far. */
  console(): string
  /** Ends the machine. An attached connection only ends itself, and the processes started over it are killed. */
  close(): Promise<void>
}

/** The machine that {@link open} connects to. */
export interface Link {
  readonly socket: string
  readonly prefix: string
  readonly console: string
  readonly hangMs: number
  /** True if the machine's kernel is its own, so that modules are loaded and caches dropped in it. */
  readonly hasKernel: boolean
  readonly send: (bytes: Uint8Array) => void
  readonly close: () => Promise<void>
}

/** A Lab during its start, and the input for its frames. */
export interface Opened {
  readonly lab: Promise<Lab>
  readonly receive: (frame: Frame<Reply>) => void
  readonly fail: (message: string) => void
}

type Hello = Extract<Reply, { t: 'hello' }>

const BOOT_MS = 180_000
const SILENCE_CHECK_MS = 1_000

/** Speaks with an agent over `link`. The Lab is ready when the agent has said hello, within 3 minutes. */
export function open(link: Link): Opened {
  let log = link.console
  let silent = 0
  let greeted = false
  const text = (): string => (existsSync(log) ? readFileSync(log, 'utf8').replaceAll('\r', '') : '')
  const commands = channel(
    link.prefix,
    (header: Request, data?: Uint8Array) => link.send(encodeFrame(header, data)),
    () => tail(text()),
  )
  let greet: (lab: Lab) => void = () => undefined
  let refuse: (error: Error) => void = () => undefined
  const lab = new Promise<Lab>((resolve, reject) => {
    greet = resolve
    refuse = reject
  })
  const fail = (message: string): void => {
    clearTimeout(bootTimer)
    clearInterval(watchdog)
    commands.fail(message)
    refuse(new Error(`Cannot use the lab: ${message}\n${tail(text())}`))
  }
  const bootTimer = setTimeout(() => fail(`no answer from the guest after ${BOOT_MS / 1000} s`), BOOT_MS)
  // Counts checks, not time, because this process may itself have been stopped for a while.
  const watchdog = setInterval(() => {
    if (greeted) silent += SILENCE_CHECK_MS
    if (silent > link.hangMs) fail(`the guest has hung: silent for ${link.hangMs} ms`)
  }, SILENCE_CHECK_MS)
  watchdog.unref()
  const close = async (): Promise<void> => {
    clearInterval(watchdog)
    commands.fail('the lab was closed')
    await link.close()
  }
  const greetedBy = ({ kernel, console }: Hello): void => {
    greeted = true
    clearTimeout(bootTimer)
    if (console !== '') log = console
    greet(labOf(kernel, link, commands, text, close))
  }
  const receive = (frame: Frame<Reply>): void => {
    silent = 0
    if (frame.header.t === 'dead') fail(frame.header.message)
    else if (frame.header.t === 'hello') greetedBy(frame.header)
    else commands.receive(frame)
  }
  return { lab, receive, fail }
}

function labOf(
  kernel: string,
  { socket, hasKernel }: Link,
  commands: Channel,
  console: () => string,
  close: () => Promise<void>,
): Lab {
  const sh = (script: string, options?: ExecOptions) => commands.exec(['sh', '-c', script], options)
  const must = async (script: string, options?: ExecOptions): Promise<string> => {
    const result = await sh(script, options)
    if (result.code === 0) return result.stdout
    // Its output comes first: a report that is cut short still holds it.
    throw new Error(`Command ended with code ${result.code} in the lab${printed(result)}\nscript: ${script}`)
  }
  return {
    kernel,
    socket,
    exec: commands.exec,
    spawn: commands.spawn,
    sh,
    must,
    readFile: async (path) => new TextDecoder().decode(await commands.read(path)),
    writeFile: (path, data, mode = 0o644) =>
      commands.write(path, typeof data === 'string' ? new TextEncoder().encode(data) : data, mode),
    refresh: async () => {
      if (hasKernel) await must('echo 3 >/proc/sys/vm/drop_caches')
    },
    load: async (...modules) => {
      if (hasKernel) await must(modules.map((module) => `modprobe ${module}`).join(' && '))
    },
    console,
    close,
  }
}

function tail(log: string): string {
  const lines = log.trimEnd().split('\n').slice(-100)
  return lines.length === 1 && lines[0] === ''
    ? 'The console is empty.'
    : `End of the console:\n${lines.join('\n')}`
}
