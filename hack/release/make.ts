// One build of a release in a copy of the checkout. In: the copy, platforms. Out: the files of the release in a folder.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { ownArchitecture } from '../image/layout.ts'
import { bundledPackages, bunPackage } from '../image/npm.ts'
import { tar } from '../image/tar.ts'
import { archiveEntries } from './archive.ts'
import { writeSums } from './compare.ts'
import { ReleaseError } from './errors.ts'
import { releaseNotes } from './plan.ts'
import { compilerFor, type Platform } from './platforms.ts'

/** The rest of a build. */
export interface Build {
  readonly version: string
  readonly commit: string
  /** Seconds since 1970, of all files. */
  readonly time: number
  readonly notes: string
  readonly date?: string
  readonly platforms: readonly Platform[]
  /** Path of the Bun of each platform, by its name. */
  readonly buns: ReadonlyMap<string, string>
}

/** As in the container image: higher levels take 8 times as long for 2 % less. */
const LEVEL = 9

/** Builds in the copy `tree` into the new folder `out`. @throws ReleaseError, ImageError, NpmError */
export function make(tree: string, out: string, build: Build): void {
  const { platforms } = build
  mkdirSync(out, { recursive: true })
  for (const platform of platforms) makeArchive(tree, out, platform, build)
  for (const platform of platforms.filter(({ libc }) => libc === 'glibc'))
    makeImage(tree, out, platform, build)
  writeFileSync(join(out, 'RELEASE-NOTES.md'), releaseNotes(build))
  writeFileSync(join(out, 'BUILDINFO.txt'), buildInfo(tree, build))
  writeSums(out)
}

function makeArchive(tree: string, out: string, platform: Platform, build: Build): void {
  const { version, time, buns } = build
  const { architecture, libc, folder } = platform
  const words = ['--arch', architecture, '--bun', buns.get(platform.name) ?? '']
  bun(tree, ['hack/build.ts', ...words, ...(libc === 'musl' ? ['--libc', libc] : [])], platform, build)
  const name = `vf-flower-${version}-${platform.name}`
  const lock = readFileSync(join(tree, 'package-lock.json'), 'utf8')
  const program = (file: string) => readFileSync(join(tree, 'dist', folder, file))
  const { entries, bill } = archiveEntries({
    ...{ name, version, architecture, libc, time, root: tree },
    programs: { program: program('vf-flower'), shim: program('vf-attach') },
    ...{ bun: bunPackage(lock, architecture, libc), npm: bundledPackages(lock) },
  })
  writeFileSync(join(out, `${name}.tar.zst`), Bun.zstdCompressSync(tar(entries, time), { level: LEVEL }))
  writeFileSync(join(out, `${name}.spdx.json`), bill)
}

function makeImage(tree: string, out: string, platform: Platform, build: Build): void {
  const { architecture, folder } = platform
  const temporary = join(out, 'image')
  const from = join(tree, 'dist', folder)
  const words = ['--arch', architecture, '--from', from, '--output', temporary]
  bun(tree, ['hack/image/main.ts', ...words], platform, build)
  const name = `vf-flower-${build.version}`
  for (const end of ['tar', 'spdx.json'])
    renameSync(
      join(temporary, `${name}-${architecture}.${end}`),
      join(out, `${name}-image-${architecture}.${end}`),
    )
  rmSync(temporary, { recursive: true })
}

/** Variables of this process that a build may see; others, such as CFLAGS and BUN_OPTIONS, could change it. */
const passed = ['PATH', 'HOME', 'TMPDIR', 'XDG_CACHE_HOME'] as const

function bun(tree: string, words: readonly string[], { architecture }: Platform, { time }: Build): void {
  const { failed, all } = execaSync(process.execPath, words, {
    ...{ cwd: tree, reject: false, all: true, extendEnv: false },
    env: {
      ...Object.fromEntries(passed.flatMap((key) => (process.env[key] ? [[key, process.env[key]]] : []))),
      ...{ CC: compilerFor(architecture, ownArchitecture), SOURCE_DATE_EPOCH: String(time) },
    },
  })
  if (failed) throw new ReleaseError(`Cannot build with "${words.join(' ')}": ${all}`)
  // The build goes on without a compiler; a release does not.
  if (all.includes('not the shim')) throw new ReleaseError(all)
}

/** The tools that a comparison needs in the same versions. */
function buildInfo(tree: string, { version, commit, time, platforms }: Build): string {
  const compilers = [
    ...new Set(platforms.map(({ architecture }) => compilerFor(architecture, ownArchitecture))),
  ]
  const firstLine = (program: string) =>
    execaSync(program, ['--version'], { cwd: tree }).stdout.split('\n')[0] ?? ''
  return [
    `version: ${version}`,
    `commit: ${commit}`,
    `SOURCE_DATE_EPOCH: ${time}`,
    `bun: ${Bun.version}`,
    ...compilers.map((one) => `${one}: ${firstLine(one)}`),
    '',
  ].join('\n')
}
