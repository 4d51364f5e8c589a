// Builds the Go program of dial-back/, which speaks as kubelet does by the library that kubelet is built with. In: Debian's packages
// golang-go and golang-google-grpc-dev. Out: the path of the program, which is kept for the next run.
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../../hack/lab/kernel.ts'

const run = promisify(execFile)
const source = join(import.meta.dirname, 'dial-back/main.go')
const packages = ['golang-go', 'golang-google-grpc-dev']

/** The calls of the plugin, as they stand on the wire. */
export const wire = {
  info: '/pluginregistration.Registration/GetInfo',
  notify: '/pluginregistration.Registration/NotifyRegistrationStatus',
  options: '/v1beta1.DevicePlugin/GetDevicePluginOptions',
  list: '/v1beta1.DevicePlugin/ListAndWatch...',
  allocate: '/v1beta1.DevicePlugin/Allocate',
  register: '/v1beta1.Registration/Register',
} as const

/** One line of the program: status and bytes as hex, or the text of an error. */
export interface Answer {
  readonly method: string
  readonly code: string
  readonly rest: string
}

/** Builds the program unless it is there; takes half a minute. */
export async function buildDialBack(): Promise<string> {
  const { stdout: versions } = await run('dpkg-query', ['-W', ...packages])
  const key = createHash('sha256').update(versions).update(readFileSync(source)).digest('hex').slice(0, 16)
  const folder = cacheFolder()
  const program = join(folder, `dial-back-${key}`)
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  const work = mkdtempSync(join(folder, 'dial-back-work-'))
  try {
    const built = join(work, 'dial-back')
    await run('go', ['build', '-o', built, source], {
      env: {
        ...process.env,
        ...{ GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(work, 'cache'), GOFLAGS: '' },
      },
    })
    renameSync(built, program)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return program
}

/** Makes calls of a plugin at a socket; `authority` as in dial-back/main.go. */
export async function dialBack(
  program: string,
  socket: string,
  authority: string,
  ...calls: readonly (readonly [method: string, hex: string])[]
): Promise<readonly Answer[]> {
  const { stdout } = await run(program, ['dial', socket, authority, ...calls.flat()])
  return linesOf(stdout)
}

/** kubelet's end of the legacy way. `lines` are those so far. */
export function serveLegacy(program: string, folder: string, authority: string) {
  const child = spawn(program, ['serve', folder, authority], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString()
  })
  return {
    lines: () => linesOf(output),
    close: () =>
      new Promise<void>((resolve) => {
        child.once('exit', () => resolve())
        child.stdin.end()
      }),
  }
}

function linesOf(output: string): readonly Answer[] {
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [method = '', code = '', ...rest] = line.split(' ')
      return { method, code, rest: rest.join(' ') }
    })
}
