// The files of the image: programs of one build, the libraries that they load, and the licences of all of it. In: folders. Out: entries
// of an archive. Nothing else is in it: no shell, no user database, and no certificates, since no program of it speaks TLS.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join, posix } from 'node:path'
import type { DebianPackage } from './debian.ts'
import { elfFacts } from './elf.ts'
import type { Architecture } from './layout.ts'
import { notices } from './notices.ts'
import { licenceTexts, type NpmPackage } from './npm.ts'
import { type Contents, sbom } from './sbom.ts'
import type { Entry } from './tar.ts'

/** The folder of the programs in the image. */
export const HOME = 'opt/vf-flower'

/** Debian packages of which the image has files, the one with libraries first. */
export const PACKAGES = ['libc6', 'base-files'] as const

/** A build that can't become an image. */
export class ImageError extends Error {
  override readonly name = 'ImageError'
}

/** The programs of one build. */
export interface Programs {
  readonly program: Uint8Array
  /** The small program that runtimes call. */
  readonly shim: Uint8Array
  /** The image's entry point. */
  readonly enter: Uint8Array
}

/** The parts of an image. */
export interface Parts extends Omit<Contents, 'files' | 'kind'> {
  readonly programs: Programs
  /** The licence of vf-flower. */
  readonly licence: Uint8Array
  /** The folder of `node_modules`. */
  readonly root: string
}

const libraryFolders = { amd64: 'usr/lib/x86_64-linux-gnu', arm64: 'usr/lib/aarch64-linux-gnu' } as const

/** All entries, and the bill of materials, which is one of them. @throws ImageError, ElfError, NpmError */
export function rootfs(parts: Parts): { readonly entries: readonly Entry[]; readonly bill: string } {
  requireOneBuild(parts)
  const { program, shim, enter } = parts.programs
  const own: readonly (readonly [string, Uint8Array])[] = [
    [`${HOME}/enter`, enter],
    [`${HOME}/vf-attach`, shim],
    [`${HOME}/vf-flower`, program],
  ]
  const libraries = librariesOf(own, parts.debian[0], parts.architecture)
  const bill = sbom({ ...parts, kind: 'image', files: new Map([...own, ...filesIn(libraries)]) })
  const entries: readonly Entry[] = [
    ...['dev', 'etc', 'proc', 'run', 'sys', 'var'].map((path) => ({ path, kind: 'folder' }) as const),
    { path: 'root', kind: 'folder', mode: 0o700 },
    { path: 'tmp', kind: 'folder', mode: 0o1777 },
    { path: 'lib', kind: 'link', target: 'usr/lib' },
    { path: 'lib64', kind: 'link', target: 'usr/lib64' },
    { path: 'usr/lib64', kind: 'folder' },
    ...own.map(([path, bytes]) => ({ path, kind: 'file', bytes, mode: 0o755 }) as const),
    // One file for both: the name of the call decides.
    { path: `${HOME}/vf-offload`, kind: 'name', target: `${HOME}/vf-attach` },
    ...libraries,
    ...documents(parts, bill),
  ]
  return { entries, bill }
}

/** The installer refuses a shim of another build, on the node. @throws ImageError, ElfError */
export function requireOneBuild({
  programs,
  architecture,
}: {
  readonly programs: Omit<Programs, 'enter'>
  readonly architecture: Architecture
}): void {
  for (const [name, bytes] of Object.entries(programs)) {
    const { architecture: its } = elfFacts(name, bytes)
    if (its !== architecture)
      throw new ImageError(`Cannot use the ${name}: it is for ${its}, not ${architecture}`)
  }
  const build = /vf-flower-([0-9a-f]{32})\0/.exec(Buffer.from(programs.shim).toString('latin1'))?.[1]
  if (build === undefined)
    throw new ImageError(
      'Cannot use vf-attach: it is not the small program of src/agent/shim; install a C compiler and build again',
    )
  if (!Buffer.from(programs.program).includes(build))
    throw new ImageError(`Cannot use vf-attach: it is of the build ${build}, and vf-flower of another`)
}

/** Libraries, with those that they need themselves, and the programs that load them. */
function librariesOf(
  programs: readonly (readonly [path: string, bytes: Uint8Array])[],
  from: DebianPackage | undefined,
  architecture: Architecture,
): readonly Entry[] {
  const entries = new Map<string, Entry>()
  const todo = [...programs]
  const add = (path: string, needer: string): void => {
    if (entries.has(path)) return
    const file = join(from?.folder ?? '', path)
    const facts = from === undefined ? undefined : lstatSync(file, { throwIfNoEntry: false })
    if (facts === undefined)
      throw new ImageError(`Cannot find "/${path}", which ${needer} needs, in the package ${from?.name}`)
    if (facts.isSymbolicLink()) {
      const target = readlinkSync(file)
      entries.set(path, { path, kind: 'link', target })
      add(posix.join(posix.dirname(path), target), needer)
      return
    }
    const bytes = readFileSync(file)
    entries.set(path, { path, kind: 'file', bytes, mode: facts.mode & 0o777 })
    todo.push([path, bytes])
  }
  for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
    const [path, bytes] = next
    const { interpreter, needed } = elfFacts(path, bytes)
    // /lib and /lib64 are links below /usr.
    if (interpreter !== undefined) add(`usr${interpreter}`, path)
    for (const name of needed) add(`${libraryFolders[architecture]}/${name}`, path)
  }
  return [...entries.values()]
}

function filesIn(entries: readonly Entry[]): readonly (readonly [string, Uint8Array])[] {
  return entries.flatMap((entry) => (entry.kind === 'file' ? [[entry.path, entry.bytes] as const] : []))
}

function documents(parts: Parts, bill: string): readonly Entry[] {
  const ours = 'usr/share/doc/vf-flower'
  const text = (path: string, value: string | Uint8Array): Entry => ({
    ...{ path, kind: 'file', bytes: Buffer.from(value) },
  })
  return [
    text(`${ours}/LICENSE`, parts.licence),
    text(`${ours}/LICENSES.md`, notices({ ...parts, kind: 'image' })),
    text(`${ours}/sbom.spdx.json`, bill),
    ...parts.npm.flatMap((one: NpmPackage) =>
      [...licenceTexts(one, parts.root)].map(([name, bytes]) =>
        // A package may be there in two versions.
        text(`${ours}/npm/${one.name}-${one.version}/${name}`, bytes),
      ),
    ),
    ...parts.debian.flatMap(({ name, folder }) => {
      const page = `usr/share/doc/${name}/copyright`
      return [text(page, readFileSync(join(folder, page))), ...commonLicences(folder)]
    }),
  ]
}

/** The texts that the pages of Debian's packages name; base-files has them. */
function commonLicences(folder: string): readonly Entry[] {
  const path = 'usr/share/common-licenses'
  if (lstatSync(join(folder, path), { throwIfNoEntry: false }) === undefined) return []
  return readdirSync(join(folder, path), { withFileTypes: true }).map((one): Entry => {
    const file = join(folder, path, one.name)
    return one.isSymbolicLink()
      ? { path: `${path}/${one.name}`, kind: 'link', target: readlinkSync(file) }
      : { path: `${path}/${one.name}`, kind: 'file', bytes: readFileSync(file) }
  })
}
