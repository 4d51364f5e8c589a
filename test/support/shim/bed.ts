/**
 * Calls of the shim with an agent that does what a test says (fake-agent.c), in a mount namespace with a /run of its own, and with a
 * program in the place of vf-flower that reports how it was started (reporter.c).
 */
import { spawn } from 'node:child_process'
import { constants, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { execaSync } from 'execa'
import { currentVersion, supportedVersions } from '../../../src/cni/version.ts'
import { stringify } from '../../../src/lib/json.ts'
import { executable } from '../executable.ts'
import { compileC, compileShim, here, sanitizing, sources, texts } from './compile.ts'

/** The shim of the build, one of another C library, and one of the same sources that ends with a report when it touches memory that it has not. */
export const forms = ['release', 'musl', 'sanitized'] as const

/** The id of the build that a shim was made in. */
export function buildIdOf(file: string): string {
  const id = /\0([0-9a-f]{32})\0/.exec(readFileSync(file, 'latin1'))?.[1]
  if (id === undefined) throw new Error(`Cannot find the build id in ${file}`)
  return id
}

/** Parameters of a message: see fake-agent.c. */
type Words = Readonly<Record<string, string | number>>

/** A step of the agent that sends a message. */
export const send = (words: Words) =>
  `send:${Object.entries(words)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')}`

export interface CallOptions {
  /** The agent's part: steps of fake-agent.c. None: there is no agent. */
  readonly agent?: readonly string[]
  /** Words for the shim's descriptors: see fake-agent.c. */
  readonly prepared?: readonly string[]
  readonly name?: string
  readonly arguments?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** All of standard input; without it the test writes to `stdin` itself. */
  readonly input?: string | Uint8Array
  /** Descriptor for standard output, a pipe of the test. */
  readonly stdout?: number
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** All that the agent saw, in order. */
  readonly seen: readonly Seen[]
  /** The facts of the program that ran in the place of vf-flower. */
  readonly program: Program | undefined
}

interface Seen {
  readonly accepted?: true
  readonly pid?: number
  readonly failed?: string
  readonly kind?: number
  readonly value?: number
  readonly first?: number
  readonly second?: number
  readonly bytes?: number
  readonly files?: readonly { readonly inode: number; readonly size: number; readonly flags: number }[]
  readonly closed?: true
}

interface Program {
  readonly arguments: readonly string[]
  readonly descriptors: readonly number[]
  readonly diesOfPipe: boolean
  readonly readError: boolean
  readonly stdin: Buffer
  readonly environment: readonly string[]
}

/** A folder with the shim, the reporter as vf-flower, and the agent. */
export function makeBed(form: (typeof forms)[number]) {
  const folder = mkdtempSync(join(tmpdir(), 'shim-agent-'))
  const shim = join(folder, 'vf-attach')
  const release = executable('vf-attach')
  if (form === 'release') copyFileSync(release, shim)
  else if (form === 'musl') compileShim(shim, 'musl-gcc')
  else compileC(shim, join(sources, 'shim.c'), ...sanitizing, ...texts(buildIdOf(release)))
  const id = form === 'musl' ? buildIdOf(shim) : buildIdOf(release)
  compileC(join(folder, 'vf-flower'), join(here, 'reporter.c'), '-static')
  compileC(join(folder, 'agent'), join(here, 'fake-agent.c'))
  const inFolder = (name: string) => join(folder, name)

  const common = { CNI_COMMAND: 'ADD', VF_FLOWER_REPORT: folder }

  /** Starts a call; `ended` is fulfilled when the shim and the agent have ended. */
  function start(options: CallOptions) {
    for (const name of ['facts', 'stdin', 'rest', 'environment']) rmSync(inFolder(name), { force: true })
    const { agent = [], prepared = [], name = 'vf-attach', arguments: words = [] } = options
    if (name !== 'vf-attach') copyFileSync(shim, inFolder(name))
    const argv = [...agent, '--', ...prepared, inFolder(name), ...words]
    const child = spawn(inFolder('agent'), argv, {
      env: { ...common, ...options.env },
      stdio: ['pipe', options.stdout ?? 'pipe', 'pipe', 'pipe'],
    })
    // A call that ends without reading its input is no error of the test.
    child.stdin?.on('error', () => undefined)
    if (options.input !== undefined) child.stdin?.end(options.input)
    const log = collectSeen(child.stdio[3] as Readable)
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    const exit = new Promise<Pick<Ended, 'code' | 'signal'>>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) => resolve({ code, signal }))
    })
    const ended = async (): Promise<Ended> => {
      const { code, signal } = await exit
      // A stopped agent does not see that the shim has ended.
      if (agent.includes('stop')) process.kill((await log.first).pid ?? 0, 'SIGKILL')
      const texts = { stdout: await stdout, stderr: await stderr }
      return { code, signal, ...texts, seen: await log.all, program: report() }
    }
    return { child, exit, ended, seen: log.sofar }
  }

  function report(): Program | undefined {
    try {
      const environment = readFileSync(inFolder('environment'), 'latin1').split('\0').slice(0, -1)
      const facts = JSON.parse(readFileSync(inFolder('facts'), 'utf8')) as Program
      return { ...facts, stdin: readFileSync(inFolder('stdin')), environment }
    } catch {
      return undefined
    }
  }

  /** Steps of an agent that gets to the call. */
  const ready = ['accept', 'packet', send({ kind: 16 }), send({ kind: 17, text: id })]

  return {
    versions: `${stringify({ cniVersion: currentVersion, supportedVersions })}\n`,
    ...{ folder, id, shim, called: [...ready, `call:${folder}`] },
    start,
    call: (options: CallOptions) => start({ input: '', ...options }).ended(),
    /** The strings of a call's environment, in their order. */
    environment: (env: CallOptions['env']) =>
      Object.entries({ ...common, ...env }).map(([name, value]) => `${name}=${value}`),
    /** The parts of the call that the agent got. */
    received: () => ({
      stdin: readFileSync(inFolder('stdin')),
      rest: readFileSync(inFolder('rest'), 'latin1').split('\0'),
    }),
    remove: () => rmSync(folder, { recursive: true }),
  }
}

/** A pipe as runtimes make it; `stdio` of child_process would be a socket. */
export function makePipe(folder: string): { readonly read: number; readonly write: number } {
  const path = join(folder, 'pipe')
  rmSync(path, { force: true })
  execaSync('mkfifo', [path])
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return { read, write: openSync(path, constants.O_WRONLY) }
}

/** The lines of the agent: all of them, those so far, and the first. */
function collectSeen(stream: Readable) {
  const seen: Seen[] = []
  const lines = createInterface(stream)
  lines.on('line', (line) => seen.push(JSON.parse(line) as Seen))
  const all = new Promise<readonly Seen[]>((resolve) => lines.on('close', () => resolve(seen)))
  const first = new Promise<Seen>((resolve) => lines.once('line', () => resolve(seen[0] ?? {})))
  return { all, first, sofar: (): readonly Seen[] => [...seen] }
}

async function collect(stream: Readable | null): Promise<string> {
  if (stream === null) return ''
  stream.setEncoding('latin1')
  let text = ''
  for await (const part of stream) text += part
  return text
}
