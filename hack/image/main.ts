/**
 * `npm run image`: the container image as an archive, without a registry and without a container runtime. It has the programs of this
 * tree and the C library of Debian, and nothing else.
 *
 *     npm run image                          builds, then writes dist/vf-flower-VERSION-ARCH.tar and its bill of materials
 *     npm run image -- --arch arm64          for another processor: needs aarch64-linux-gnu-gcc, and gets Bun by `npm pack`
 *     npm run image -- --from dist           takes what is there already
 *     npm run image -- --output FOLDER --gzip
 *
 * The bytes of the archive depend on its contents alone. Times in it are 1970, or SOURCE_DATE_EPOCH.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { execaSync } from 'execa'
import { debianPackages } from './debian.ts'
import { type Architecture, imageArchive, type Layer, ownArchitecture, sha256 } from './layout.ts'
import { bundledPackages, bunFor, bunPackage } from './npm.ts'
import { HOME, ImageError, PACKAGES, type Programs, rootfs } from './rootfs.ts'
import { tar } from './tar.ts'

const top = join(import.meta.dirname, '../..')
const NAME = 'localhost/vf-flower'
/** Higher levels of zstd take 8 times as long for 2 % less. */
const LEVEL = 9
/** The archive may have so many bytes. */
const BAR = 60_000_000

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: ownArchitecture },
    from: { type: 'string' },
    output: { type: 'string', default: join(top, 'dist') },
    gzip: { type: 'boolean', default: false },
  },
})

function architectureOf(word: string): Architecture {
  if (word === 'amd64' || word === 'arm64') return word
  throw new ImageError(`--arch is "${word}"; must be amd64 or arm64`)
}

/** Seconds since 1970 of all files, https://reproducible-builds.org/specs/source-date-epoch. */
function timeOf(word: string | undefined): number {
  if (word === undefined || word === '') return 0
  const time = Number(word)
  // The field of an archive has 11 octal digits.
  if (/^\d+$/.test(word) && time < 2 ** 33) return time
  throw new ImageError(`SOURCE_DATE_EPOCH is "${word}"; must be seconds since 1970, below 2^33`)
}

function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  execaSync(process.execPath, args, { cwd: top, stdio: 'inherit', env })
}

/** The compiler for another processor than this machine's, by its name in Debian; none: as hack/build.ts chooses. */
function compilerFor(architecture: Architecture): Readonly<Record<string, string>> {
  if (architecture === ownArchitecture || process.env.CC !== undefined) return {}
  return { CC: `${architecture === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu-gcc` }
}

/** Builds unless there is a build, and compiles the entry point. */
async function programsOf(
  architecture: Architecture,
  from: string | undefined,
  lock: string,
): Promise<Programs> {
  const isForeign = architecture !== ownArchitecture
  const folder = resolve(from ?? join(top, 'dist', isForeign ? architecture : ''))
  const cc = compilerFor(architecture)
  if (from === undefined) {
    const words = isForeign ? ['--arch', architecture, '--bun', await bunFor(architecture, lock)] : []
    run(['hack/build.ts', ...words], cc)
  }
  const temporary = mkdtempSync(join(tmpdir(), 'vf-image-'))
  try {
    const enter = join(temporary, 'enter')
    run(['hack/build.ts', '--enter', enter], cc)
    return {
      program: readFileSync(join(folder, 'vf-flower')),
      shim: readFileSync(join(folder, 'vf-attach')),
      enter: readFileSync(enter),
    }
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

function packed(archive: Uint8Array, isGzip: boolean): Layer {
  return isGzip
    ? { compression: 'gzip', sum: sha256(archive), packed: gzipSync(archive, { level: 9 }) }
    : { compression: 'zstd', sum: sha256(archive), packed: Bun.zstdCompressSync(archive, { level: LEVEL }) }
}

async function main(): Promise<void> {
  const architecture = architectureOf(values.arch)
  const time = timeOf(process.env.SOURCE_DATE_EPOCH)
  const lock = readFileSync(join(top, 'package-lock.json'), 'utf8')
  const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }
  const programs = await programsOf(architecture, values.from, lock)
  const { entries, bill } = rootfs({
    ...{ version, architecture, time, programs, root: top },
    licence: readFileSync(join(top, 'LICENSE')),
    bun: bunPackage(lock, architecture),
    npm: bundledPackages(lock),
    debian: debianPackages(PACKAGES, architecture),
  })
  const files = tar(entries, time)
  const layer = packed(files, values.gzip)
  const archive = imageArchive(layer, {
    ...{ name: NAME, tag: version, architecture, time, entrypoint: [`/${HOME}/enter`] },
    labels: {
      'org.opencontainers.image.title': 'vf-flower',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  })
  const base = join(resolve(values.output), `vf-flower-${version}-${architecture}`)
  mkdirSync(resolve(values.output), { recursive: true })
  writeFileSync(`${base}.tar`, archive)
  writeFileSync(`${base}.spdx.json`, bill)
  const mega = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  console.log(`image ${NAME}:${version} for linux/${architecture}`)
  console.log(`  ${relative(process.cwd(), base)}.tar: ${mega(archive.length)} (${layer.compression})`)
  console.log(`  unpacked: ${mega(files.length)}, of it vf-flower ${mega(programs.program.length)}`)
  console.log(`  sha256 of the archive: ${sha256(archive)}`)
  if (!values.gzip && archive.length > BAR)
    throw new ImageError(`The archive has ${mega(archive.length)}; it must have at most ${mega(BAR)}`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Error)) throw error
  console.error(`image: ${error.message}`)
  process.exitCode = 1
}
