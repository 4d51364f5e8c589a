// The virtual machine as an object. In: options. Out: a Lab that runs commands as root in the guest. One process
// boots the machine and owns it; others attach to its socket. Works under Bun and Node. Imports node: modules
// and this folder.
import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { broker, listen } from './broker.ts'
import { type Lab, open } from './connection.ts'
import { kernel } from './kernel.ts'
import { frameDecoder, type Reply } from './protocol.ts'
import { consolePath, type Hardware, startQemu, whenEnded } from './qemu.ts'

export type { ExecOptions, ExecResult, LabProcess } from './channel.ts'
export type { Lab } from './connection.ts'

/** The machine to boot, or with `attach` the {@link Lab.socket} of a machine that another process owns. */
export interface LabOptions extends Hardware {
  readonly attach?: string
  /** Milliseconds of silence after which the guest counts as hung, default 90,000. The agent speaks every 2,000. */
  readonly hangMs?: number
}

/** Milliseconds of silence after which a machine counts as hung, by default. */
export const HANG_MS = 90_000

// The kernel patches its own code behind an int3, and the other processor may meet that int3. QEMU's emulation then sometimes runs
// the int3 after the kernel has taken it away, which the kernel can only take for a fault of its own: the machine dies in its boot.
const EMULATORS_FAULT = /Oops: int3/
const BOOTS = 3

/**
 * Boots a machine, or attaches to one. Fails with the end of the console log when no guest answers in 3 minutes. Boots again, at
 * most twice and with a line on standard error, when the emulation of the processors broke the guest's boot.
 */
export async function bootLab(options: LabOptions = {}): Promise<Lab> {
  const { attach: socket, hangMs = HANG_MS, ...hardware } = options
  if (socket !== undefined) return attach(socket, hangMs)
  for (let attempt = 1; ; attempt++) {
    try {
      return await boot(hardware, hangMs)
    } catch (error) {
      if (attempt === BOOTS || !(error instanceof Error) || !EMULATORS_FAULT.test(error.message)) throw error
      console.error(`lab: QEMU broke the boot of the guest (Oops: int3); boot ${attempt + 1} of ${BOOTS}`)
    }
  }
}

/** Makes a folder for the files of a machine on the host. First removes the folders of owners that were killed. */
export async function newRunFolder(): Promise<string> {
  await sweep()
  const run = await mkdtemp(join(tmpdir(), 'vf-lab-'))
  await writeFile(join(run, 'pid'), String(process.pid))
  return run
}

async function boot(hardware: Hardware, hangMs: number): Promise<Lab> {
  const run = await newRunFolder()
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
    const opened = open({
      ...{ socket, prefix: 'owner.', console: consolePath(run), hangMs, hasKernel: true },
      ...{ send, close },
    })
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
    hasKernel: true,
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

/** Kills a machine and waits until it is gone. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  // The guest has nothing to lose, because its disk is memory.
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await exit
}

// Removes the run folders of owners that were killed.
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith('vf-lab-')) continue
    const pid = await readFile(join(tmpdir(), name, 'pid'), 'utf8').catch(() => '')
    if (pid !== '' && !existsSync(`/proc/${pid}`)) {
      await rm(join(tmpdir(), name), { recursive: true, force: true })
    }
  }
}
