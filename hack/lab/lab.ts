// The virtual machine as an object. In: options. Out: a Lab that runs commands as root in the guest. One process
// boots the machine and owns it; others attach to its socket. Works under Bun and Node. Imports node: modules
// and this folder.
import type { ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { broker, listen } from './broker.ts'
import {
  type Channel,
  channel,
  type ExecOptions,
  type ExecResult,
  type LabProcess,
  printed,
} from './channel.ts'
import { kernel } from './kernel.ts'
import { encodeFrame, type Frame, frameDecoder, type Reply, type Request } from './protocol.ts'
import { consolePath, type Hardware, startQemu, whenEnded } from './qemu.ts'

export type { ExecOptions, ExecResult, LabProcess } from './channel.ts'

/** What to boot, or with `attach` the {@link Lab.socket} of a machine that another process owns. */
export interface LabOptions extends Hardware {
  readonly attach?: string
  /** Milliseconds of silence after which the guest counts as hung, default 90,000. The agent speaks every 2,000. */
  readonly hangMs?: number
}

/** A running machine. Every call fails with the end of the console log when the guest hangs or dies. */
export interface Lab {
  /** `uname -r` of the guest. */
  readonly kernel: string
  /** For `bootLab({ attach })` in other processes. */
  readonly socket: string
  /** Runs a program to its end. Fails when it can't be started or times out, not for its exit code. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>
  /** {@link exec} of `sh -c script`. */
  sh(script: string, options?: ExecOptions): Promise<ExecResult>
  /** {@link sh} that fails, with all that was printed, for any exit code but 0. Returns standard output. */
  must(script: string, options?: ExecOptions): Promise<string>
  /** Starts a program and returns at once. */
  spawn(argv: readonly string[], options?: ExecOptions): Promise<LabProcess>
  /** A file in the guest as text. */
  readFile(path: string): Promise<string>
  /** Writes a file in the guest, and the folders above it; mode default 0644. */
  writeFile(path: string, data: string | Uint8Array, mode?: number): Promise<void>
  /**
   * Forgets what the guest has read of the host's files. Needed after a file changed on the host that the guest may
   * have looked at, or looked for: it does not ask again by itself.
   */
  refresh(): Promise<void>
  /** What the guest's kernel has printed so far. */
  console(): string
  /** Ends the machine, or the connection if it was attached to; then all processes started over it are killed. */
  close(): Promise<void>
}

const BOOT_MS = 180_000
const SILENCE_CHECK_MS = 1_000
const HANG_MS = 90_000

/** Boots a machine, or attaches to one. Fails with the end of the console log when no guest answers in 3 minutes. */
export async function bootLab(options: LabOptions = {}): Promise<Lab> {
  const { attach: socket, hangMs = HANG_MS, ...hardware } = options
  return socket === undefined ? boot(hardware, hangMs) : attach(socket, hangMs)
}

async function boot(hardware: Hardware, hangMs: number): Promise<Lab> {
  await sweep()
  const run = await mkdtemp(join(tmpdir(), 'vf-lab-'))
  await writeFile(join(run, 'pid'), String(process.pid))
  const [agentSocket, socket] = [join(run, 'agent.sock'), join(run, 'clients.sock')]
  const server = createServer()
  let guest: Socket | undefined
  let qemu: ChildProcess | undefined
  const send = (bytes: Uint8Array): void => {
    guest?.write(bytes)
  }
  const clients = await broker(socket, send)
  const close = async (): Promise<void> => {
    server.close()
    clients.close()
    if (qemu !== undefined) await ended(qemu)
    await rm(run, { recursive: true, force: true })
  }
  try {
    await listen(server, agentSocket)
    qemu = await startQemu({ ...hardware, kernel: await kernel(), run, mode: 'agent', agentSocket })
    const opened = open({ socket, prefix: 'owner.', console: consolePath(run), hangMs, send, close })
    whenEnded(qemu, (message) => {
      opened.fail(message)
      clients.receive({ header: { t: 'dead', message }, data: new Uint8Array(0) })
    })
    server.once('connection', (connection) => {
      guest = connection
      connection.on('error', () => undefined)
      const decode = frameDecoder<Reply>()
      connection.on('data', (piece) => {
        for (const { header, data } of decode(piece)) {
          const told = header.t === 'hello' ? { ...header, console: consolePath(run) } : header
          opened.receive({ header: told, data })
          clients.receive({ header: told, data })
        }
      })
    })
    return await opened.lab
  } catch (error) {
    await close()
    throw error
  }
}

async function attach(path: string, hangMs: number): Promise<Lab> {
  const socket = connect(path)
  const decode = frameDecoder<Reply>()
  let closing = false
  const opened = open({
    socket: path,
    prefix: '',
    console: '',
    hangMs,
    send: (bytes) => socket.write(bytes),
    close: async () => {
      closing = true
      socket.destroy()
    },
  })
  socket.on('error', (error) => opened.fail(`no connection to ${path}: ${error.message}`))
  socket.on('close', () => {
    if (!closing) opened.fail('the process that owns the virtual machine has ended')
  })
  socket.on('data', (piece) => {
    for (const frame of decode(piece)) opened.receive(frame)
  })
  return opened.lab
}

interface Link {
  readonly socket: string
  readonly prefix: string
  readonly console: string
  readonly hangMs: number
  readonly send: (bytes: Uint8Array) => void
  readonly close: () => Promise<void>
}

interface Opened {
  readonly lab: Promise<Lab>
  readonly receive: (frame: Frame<Reply>) => void
  readonly fail: (message: string) => void
}

type Hello = Extract<Reply, { t: 'hello' }>

// One connection from its first frame on: greeting, watchdog, commands.
function open(link: Link): Opened {
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
  // Counts checks, not time: this process may itself have been stopped for a while.
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
    log = console
    greet(labOf(kernel, link.socket, commands, text, close))
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
  socket: string,
  commands: Channel,
  console: () => string,
  close: () => Promise<void>,
): Lab {
  const sh = (script: string, options?: ExecOptions) => commands.exec(['sh', '-c', script], options)
  const must = async (script: string, options?: ExecOptions): Promise<string> => {
    const result = await sh(script, options)
    if (result.code === 0) return result.stdout
    // What it printed comes first: a report that is cut short still holds it.
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
      await must('echo 3 >/proc/sys/vm/drop_caches')
    },
    console,
    close,
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  // The guest has nothing to lose: its disk is memory.
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exit
}

// Run folders of owners that were killed.
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith('vf-lab-')) continue
    const pid = await readFile(join(tmpdir(), name, 'pid'), 'utf8').catch(() => '')
    if (pid !== '' && !existsSync(`/proc/${pid}`)) {
      await rm(join(tmpdir(), name), { recursive: true, force: true })
    }
  }
}

function tail(log: string): string {
  const lines = log.trimEnd().split('\n').slice(-100)
  return lines.length === 1 && lines[0] === ''
    ? 'The console is empty.'
    : `End of the console:\n${lines.join('\n')}`
}
