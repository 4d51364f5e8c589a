// The packages of npm that are in the program, and the Bun of either processor, as package-lock.json has them. In: names. Out: facts, paths.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { z } from 'zod'
import { cacheFolder, madeOnce } from '../lab/kernel.ts'
import { type Architecture, ownArchitecture } from './layout.ts'

const top = join(import.meta.dirname, '../..')

/** A package of npm. */
export interface NpmPackage {
  readonly name: string
  readonly version: string
  /** An expression of SPDX. */
  readonly licence: string
  /** SHA-512 of the package's archive, in hexadecimal. */
  readonly sum: string
  /** Path of its folder, from the top of the tree. */
  readonly folder: string
}

/** A package that can't be had, or of which something is missing. */
export class NpmError extends Error {
  override readonly name = 'NpmError'
}

const lockSchema = z.object({
  lockfileVersion: z.literal(3),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      license: z.string().optional(),
      integrity: z.string().optional(),
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
      devOptional: z.boolean().optional(),
    }),
  ),
})

/** The packages that the program is bundled from, by the text of package-lock.json, in its order. @throws NpmError */
export function bundledPackages(lock: string): readonly NpmPackage[] {
  return Object.entries(lockSchema.parse(JSON.parse(lock)).packages).flatMap(([folder, entry]) => {
    const isOurs = folder === ''
    return isOurs || entry.dev || entry.optional || entry.devOptional ? [] : [packageOf(folder, entry)]
  })
}

type LockEntry = z.infer<typeof lockSchema>['packages'][string]

function packageOf(folder: string, { version, license, integrity = '' }: LockEntry): NpmPackage {
  const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const sum = /^sha512-(\S+)$/.exec(integrity)?.[1]
  if (version === undefined || license === undefined || sum === undefined)
    throw new NpmError(`package-lock.json has no version, licence or SHA-512 of "${folder}"`)
  return { name, version, licence: license, sum: Buffer.from(sum, 'base64').toString('hex'), folder }
}

/** Texts of a package's licence and notices, by the names of their files. @throws NpmError if it has none */
export function licenceTexts({ name, folder }: NpmPackage, root = top): ReadonlyMap<string, Uint8Array> {
  const files = readdirSync(join(root, folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
  if (files.length === 0) throw new NpmError(`The package ${name} has no file with its licence`)
  return new Map(files.sort().map((file) => [file, readFileSync(join(root, folder, file))]))
}

/** C libraries that there is a Bun for. */
export type CLibrary = 'glibc' | 'musl'

const bunNames = {
  glibc: { amd64: 'bun-linux-x64-baseline', arm64: 'bun-linux-aarch64' },
  musl: { amd64: 'bun-linux-x64-musl-baseline', arm64: 'bun-linux-aarch64-musl' },
} as const

/** The package of Bun for a processor and a C library. @throws NpmError */
export function bunPackage(lock: string, architecture: Architecture, libc: CLibrary = 'glibc'): NpmPackage {
  const folder = `node_modules/@oven/${bunNames[libc][architecture]}`
  const entry = lockSchema.parse(JSON.parse(lock)).packages[folder]
  if (entry === undefined) throw new NpmError(`package-lock.json has no "${folder}"`)
  return packageOf(folder, entry)
}

/**
 * Path of the Bun for a processor and a C library. npm installs that of this machine alone; another one is downloaded once, and must
 * have the sum of package-lock.json. @throws NpmError
 */
export async function bunFor(
  architecture: Architecture,
  lock: string,
  libc: CLibrary = 'glibc',
): Promise<string> {
  const wanted = bunPackage(lock, architecture, libc)
  const installed = join(top, wanted.folder, 'bin/bun')
  if (architecture === ownArchitecture && libc === 'glibc' && existsSync(installed)) return installed
  return join(await unpackedNpm(wanted), 'bin/bun')
}

/**
 * The folder of a package of npm without installing it: downloaded once, below the cache folder. @throws NpmError when the package
 * can't be had, or has another sum
 */
export async function unpackedNpm({
  name,
  version,
  sum: expected,
}: Pick<NpmPackage, 'name' | 'version' | 'sum'>): Promise<string> {
  const folder = join(cacheFolder(), `${name.slice(name.indexOf('/') + 1)}-${version}`)
  await madeOnce(folder, async (temporary) => {
    const source = `${name}@${version}`
    run('npm', ['pack', source, '--silent', '--pack-destination', temporary])
    const [archive = ''] = readdirSync(temporary)
    const sum = createHash('sha512')
      .update(readFileSync(join(temporary, archive)))
      .digest('hex')
    if (sum !== expected) throw new NpmError(`${source} has the SHA-512 ${sum}; must have ${expected}`)
    run('tar', ['-xzf', join(temporary, archive), '-C', temporary, '--strip-components=1'])
    run('rm', [join(temporary, archive)])
  })
  return folder
}

function run(program: string, args: readonly string[]): void {
  const { failed, stderr, message } = execaSync(program, args, { cwd: top, reject: false })
  if (failed)
    throw new NpmError(`Cannot run "${program} ${args.join(' ')}": ${stderr === '' ? message : stderr}`)
}
