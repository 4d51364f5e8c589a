// The Go program main.go, which calls plugins by the library that runtimes are built with. In: Debian's package golang-go, and that of the
// library, unpacked. Out: calls of a list in a node; the program is kept for the next run.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ConfigList } from '../cni-runtime.ts'
import { cacheFolder } from '../kernel.ts'
import type { ExecResult, Lab } from '../lab.ts'
import { unpackedPackage } from '../packages.ts'

const run = promisify(execFile)
const source = join(import.meta.dirname, 'main.go')

/** A pod's interface, as the program wants it. */
export interface LibcniAttachment {
  readonly container: string
  readonly netns: string
  readonly capabilities?: Readonly<Record<string, unknown>>
}

/** Calls of one list. No call fails for an error of libcni. */
export interface Libcni {
  add(attachment: LibcniAttachment): Promise<ExecResult>
  check(attachment: LibcniAttachment): Promise<ExecResult>
  del(attachment: LibcniAttachment): Promise<ExecResult>
  /** Containers that are to stay, each with its `eth0`. Without any the list is null. */
  gc(...containers: readonly string[]): Promise<ExecResult>
  /** GC without a list of valid attachments, as cnitool calls it. */
  gcWithoutList(): Promise<ExecResult>
  status(): Promise<ExecResult>
  validate(): Promise<ExecResult>
}

/** The folder of cached results, in the node. */
export const CACHE = '/run/libcni-cache'

/** Calls of `list` with the plugins of `path`. */
export async function libcni(lab: Lab, list: ConfigList, path: readonly string[]): Promise<Libcni> {
  const program = await buildLibcni()
  const file = `/run/libcni/${list.name}.conflist`
  await lab.writeFile(file, JSON.stringify(list))
  const call = (verb: string, ...rest: readonly string[]) =>
    lab.exec([program, verb, file, CACHE, ...rest], { env: { CNI_PATH: path.join(':') } })
  const words = ({ container, netns, capabilities }: LibcniAttachment) => [
    ...[container, netns, 'eth0'],
    ...(capabilities === undefined ? [] : [JSON.stringify(capabilities)]),
  ]
  return {
    add: (attachment) => call('add', ...words(attachment)),
    check: (attachment) => call('check', ...words(attachment)),
    del: (attachment) => call('del', ...words(attachment)),
    gc: (...containers) => call('gc', ...containers.map((container) => `${container}/eth0`)),
    gcWithoutList: () => call('gc', 'without-list'),
    status: () => call('status'),
    validate: () => call('validate'),
  }
}

/** The path of the program, which is built unless it is there. @throws AptError */
export async function buildLibcni(): Promise<string> {
  const library = unpackedPackage('golang-github-appc-cni-dev/sid')
  const { stdout: compiler } = await run('go', ['version'])
  const key = createHash('sha256').update(compiler).update(library.version).update(readFileSync(source))
  const program = join(cacheFolder(), `libcni-${key.digest('hex').slice(0, 16)}`)
  if (existsSync(program)) return program
  const work = mkdtempSync(join(cacheFolder(), 'libcni-work-'))
  try {
    const folder = join(work, 'src/libcni')
    mkdirSync(folder, { recursive: true })
    copyFileSync(source, join(folder, 'main.go'))
    const built = join(work, 'libcni')
    const go = { GO111MODULE: 'off', GOFLAGS: '', CGO_ENABLED: '0', GOCACHE: join(cacheFolder(), 'go-build') }
    const GOPATH = [work, join(library.folder, 'usr/share/gocode')].join(':')
    await run('go', ['build', '-o', built, 'libcni'], { env: { ...process.env, ...go, GOPATH } })
    renameSync(built, program)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return program
}
