// A node made of namespaces, on the machine's own kernel. In: nothing. Out: a Lab like that of the virtual machine, in a
// tenth of a second. Needs root, and the feature `namespaces` of features.ts. Imports node: modules and this folder.
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { type Lab, open } from './connection.ts'
import { ended, HANG_MS, newRunFolder } from './lab.ts'
import { frameDecoder, type Reply } from './protocol.ts'
import { CHECKOUT, consolePath } from './qemu.ts'

/** Number of the agent's end of our socket, for node.sh. */
const AGENT_FD = 3
const SCRIPT = join(CHECKOUT, 'hack/lab/node.sh')

/** Options of unshare(1) for the node: all changes stay inside, and the end of its first process ends all others. */
export const UNSHARE = ['--net', '--mount', '--uts', '--ipc', '--pid', '--fork', '--kill-child=KILL'] as const

/** Starts a node. The node ends with this process, however this process ends. */
export async function bootNode(): Promise<Lab> {
  const run = await newRunFolder()
  await writeFile(consolePath(run), '')
  const log = openSync(consolePath(run), 'a')
  // The kernel sends SIGKILL to unshare when the thread that started unshare is gone.
  const argv = ['--pdeathsig', 'KILL', 'unshare', ...UNSHARE, 'sh', SCRIPT, run, CHECKOUT]
  const child = spawn('setpriv', argv, {
    stdio: ['ignore', log, log, 'pipe'],
    env: { ...process.env, LAB_FD: String(AGENT_FD) },
  })
  const agent = child.stdio[AGENT_FD] as Socket
  const close = async (): Promise<void> => {
    await ended(child)
    await rm(run, { recursive: true, force: true })
  }
  const opened = open({
    ...{ socket: '', prefix: '', console: consolePath(run), hangMs: HANG_MS, hasKernel: false },
    ...{ send: (bytes: Uint8Array) => agent.write(bytes), close },
  })
  tellWhenEnded(child, (message) => opened.fail(message))
  const decode = frameDecoder<Reply>()
  agent.on('error', () => undefined)
  agent.on('data', (piece: Uint8Array) => {
    for (const frame of decode(piece)) opened.receive(frame)
  })
  try {
    return await opened.lab
  } catch (error) {
    await close()
    throw error
  }
}

function tellWhenEnded(child: ChildProcess, tell: (message: string) => void): void {
  child.once('error', (error) => tell(`the node did not start: ${error.message}`))
  child.once('exit', (code, signal) => tell(`the node ended with ${signal ?? `code ${code}`}`))
}
