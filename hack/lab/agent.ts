// Runs in the virtual machine, or in a node made of namespaces (by Bun, as a child of guest.sh or node.sh). In: requests from the
// host over a virtio serial port, or over the socket whose number is LAB_FD. Out: output and end of the started processes, and a
// heartbeat. Imports node: modules and the frame format only; it must start fast without a JIT. Ends when the port closes.
import { type ChildProcess, spawn } from 'node:child_process'
import { constants, openSync, read as readFd, write as writeFd } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import {
  encodeFrame,
  type Frame,
  frameDecoder,
  type Reply,
  type Request,
  type SpawnHeader,
} from './protocol.ts'

const BEAT_MS = 2_000
const PIECE_BYTES = 64 * 1024

const children = new Map<string, ChildProcess>()
const { LAB_FD } = process.env
// Open as a number: the garbage collector closes a FileHandle without a reference.
const port = LAB_FD === undefined ? openSync(await findPort('lab'), constants.O_RDWR) : Number(LAB_FD)
let writing = Promise.resolve()

setInterval(() => send({ t: 'beat' }), BEAT_MS)
send({ t: 'hello', kernel: release(), console: '' })
await serve()

async function serve(): Promise<void> {
  const read = promisify(readFd)
  const decode = frameDecoder<Request>()
  const buffer = new Uint8Array(PIECE_BYTES)
  for (;;) {
    const { bytesRead } = await read(port, buffer, 0, buffer.length, null)
    if (bytesRead === 0) process.exit(0)
    for (const frame of decode(buffer.subarray(0, bytesRead))) handle(frame)
  }
}

function handle({ header, data }: Frame<Request>): void {
  switch (header.t) {
    case 'spawn':
      start(header)
      return
    case 'stdin':
      children.get(header.id)?.stdin?.write(data)
      return
    case 'eof':
      children.get(header.id)?.stdin?.end()
      return
    case 'kill':
      kill(children.get(header.id), header.signal as NodeJS.Signals)
      return
    case 'read':
      answer(header.id, async () => sendPieces(header.id, await readFile(header.path)))
      return
    case 'write':
      answer(header.id, async () => {
        await mkdir(dirname(header.path), { recursive: true })
        await writeFile(header.path, data, { mode: header.mode })
      })
      return
    case 'forget':
      for (const [id, child] of children) if (id.startsWith(header.prefix)) kill(child, 'SIGKILL')
  }
}

function start({ id, argv, env, cleanEnv, cwd, timeoutMs }: SpawnHeader): void {
  const [program = '', ...args] = argv
  const base: NodeJS.ProcessEnv = { ...process.env }
  delete base.BUN_JSC_useJIT
  delete base.LAB_FD
  let child: ChildProcess
  try {
    // A session of its own, so that a signal reaches the process and its children.
    child = spawn(program, args, {
      env: cleanEnv ? env : { ...base, ...env },
      cwd: cwd ?? process.cwd(),
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  } catch (error) {
    send({ t: 'failed', id, message: String(error) })
    return
  }
  children.set(id, child)
  let timedOut = false
  let failed = false
  const timer =
    timeoutMs > 0
      ? setTimeout(() => {
          timedOut = true
          kill(child, 'SIGKILL')
        }, timeoutMs)
      : undefined
  child.on('error', (error) => {
    failed = true
    clearTimeout(timer)
    children.delete(id)
    send({ t: 'failed', id, message: String(error) })
  })
  // The process may end before it has read its input.
  child.stdin?.on('error', () => undefined)
  pump(child, 'stdout', id, 1)
  pump(child, 'stderr', id, 2)
  if (child.pid !== undefined) send({ t: 'started', id, pid: child.pid })
  child.on('close', (code, signal) => {
    if (failed) return
    clearTimeout(timer)
    children.delete(id)
    send({ t: 'exit', id, code, signal, timedOut })
  })
}

function pump(child: ChildProcess, name: 'stdout' | 'stderr', id: string, fd: 1 | 2): void {
  const stream = child[name]
  stream?.on('data', (data: Uint8Array) => {
    stream.pause()
    send({ t: 'out', id, fd }, data).then(() => stream.resume())
  })
}

function kill(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: the process has ended by itself.
  }
}

function answer(id: string, work: () => Promise<unknown>): void {
  work().then(
    () => send({ t: 'done', id }),
    (error: unknown) => send({ t: 'failed', id, message: String(error) }),
  )
}

async function sendPieces(id: string, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; at += PIECE_BYTES) {
    await send({ t: 'out', id, fd: 1 }, data.subarray(at, at + PIECE_BYTES))
  }
}

// Frames must not mix, and the port takes at most 32 KiB at a time.
function send(header: Reply, data?: Uint8Array): Promise<void> {
  const bytes = encodeFrame(header, data)
  const write = promisify(writeFd)
  writing = writing.then(async () => {
    for (let at = 0; at < bytes.length; ) {
      at += (await write(port, bytes, at, bytes.length - at, null)).bytesWritten
    }
  })
  return writing
}

async function findPort(name: string): Promise<string> {
  const folder = '/sys/class/virtio-ports'
  for (const entry of await readdir(folder)) {
    const found = (await readFile(`${folder}/${entry}/name`, 'utf8').catch(() => '')).trim()
    if (found === name) return `/dev/${entry}`
  }
  throw new Error(`Cannot find a virtio port named '${name}' in ${folder}`)
}
