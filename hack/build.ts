/**
 * Builds the program `vf-flower` and its names: `dist/` for release, `dist/test/` from the same sources with the fault hook and the
 * test driver. Runtimes call a small program in C (src/agent/shim); without a C compiler its names are links. Runs under the pinned Bun:
 * `npm run build`.
 *
 *     CC=aarch64-linux-gnu-gcc sh hack/bun.sh hack/build.ts --shim FILE     the small program alone, by a compiler of your choice
 *     sh hack/bun.sh hack/build.ts --enter FILE     the entry point of the container image (src/agent/enter), by the same flags
 *     CC=aarch64-linux-gnu-gcc sh hack/bun.sh hack/build.ts --arch arm64 --bun FILE     dist/arm64, with that Bun of another processor
 *     sh hack/bun.sh hack/build.ts --arch amd64 --libc musl --bun FILE     dist/amd64-musl, for nodes with musl in the place of glibc
 */
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { currentVersion, supportedVersions } from '../src/cni/version.ts'
import { stringify } from '../src/lib/json.ts'

const top = join(import.meta.dirname, '..')
/** Programs that container runtimes execute, in whatever surroundings they have. */
const cniNames = ['vf-attach', 'vf-offload']
const otherNames = ['vfctl', 'vf-device-plugin', 'vf-agent']
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }

/** Identifies the sources, the packages and this script; and the build for tests, whose agent does not serve the shim of a release. */
function buildId(testBuild: boolean): string {
  const sources = ['src', 'device-plugin'].flatMap((folder) =>
    readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.\w+$/.test(file))
      .map((file) => join(folder, file)),
  )
  const hash = createHash('sha256').update(`${version} ${testBuild}`)
  for (const file of [...sources.sort(), 'package-lock.json', 'hack/build.ts'])
    hash.update(`\0${file}\0`).update(readFileSync(join(top, file)))
  return hash.digest('hex').slice(0, 32)
}

/** Loaded by name with `require`, only once there is a line to write; inside the program it would slow every start. */
const logger = 'src/lib/log/pino.ts'

/** A hostile bunfig.toml or .env in the working directory must not run as root: the program never looks for either. */
const flags = [
  'build',
  '--compile',
  '--minify',
  '--bytecode',
  '--format=esm',
  // Code that a call does not import is not even parsed: a quarter of the start of a VERSION.
  '--splitting',
  // Few large files and not many small ones, of which an ADD would load 60: each costs more than the code that a call does not need.
  '--min-chunk-size=1048576',
  // Flat, so that src/lib/log/log.ts finds the logger.
  '--entry-naming=[name].[ext]',
  // Compiling code that runs once costs a quarter of our own time in an ADD. Loops that run for long are still compiled.
  '--compile-jit-policy=1000',
  '--no-compile-autoload-bunfig',
  '--no-compile-autoload-dotenv',
]

/**
 * Programs that no CNI call is, by the names of their bundles. Each is bundled by itself and loaded by name, as the logger: code that is
 * shared with the plugins would be cut into more and smaller files for both, and each CNI call would load more of them.
 */
const services = {
  'device-plugin': 'device-plugin/main.ts',
  agent: 'src/agent/main.ts',
  install: 'src/install/main.ts',
} as const

/** The processor and C library of the program: those of this machine, or others, whose Bun was named. */
function target(): readonly string[] {
  if (libc !== undefined && (libc !== 'musl' || arch === undefined))
    throw new TypeError(`--libc is "${libc}": must be musl, with --arch`)
  if (arch === undefined) return ['--target=bun']
  if ((arch !== 'amd64' && arch !== 'arm64') || bun === undefined)
    throw new TypeError(`--arch is "${arch}": must be amd64 or arm64, with --bun FILE`)
  const name = `${arch === 'amd64' ? 'x64' : arch}${end}`
  return [`--target=bun-linux-${name}`, `--compile-executable-path=${resolve(bun)}`]
}

function compile(entry: string, outfile: string, testBuild: boolean, withServices = false): void {
  mkdirSync(dirname(outfile), { recursive: true })
  const defines = [
    // Bun would write the folder of this checkout into the program, where packages of npm ask for their own: only their parts for
    // threads and files that the program does not have would use it.
    ...['__dirname', '__filename'].map((name) => `--define=${name}="/nowhere"`),
    `--define=VF_FLOWER_VERSION="${version}"`,
    `--define=VF_FLOWER_BUILD="${buildId(testBuild)}"`,
    `--define=VF_FLOWER_TEST_BUILD=${testBuild}`,
    // The installer writes it.
    `--define=VF_FLOWER_UNIT=${JSON.stringify(readFileSync(join(top, 'src/agent/vf-agent.service'), 'utf8'))}`,
  ]
  const run = (args: readonly string[]) => execaSync(process.execPath, args, { cwd: top, stdio: 'pipe' })
  const folder = mkdtempSync(join(tmpdir(), 'vf-flower-build-'))
  try {
    const bundles = Object.entries(withServices ? services : {}).map(([name, source]) => {
      const bundle = join(folder, `${name}.js`)
      // In one piece: what is loaded late by name must be found.
      run([
        ...['build', '--minify', '--format=esm', '--target=bun', ...defines],
        ...[source, `--outfile=${bundle}`],
      ])
      return bundle
    })
    run([...flags, ...target(), ...defines, entry, logger, ...bundles, `--outfile=${outfile}`])
  } finally {
    rmSync(folder, { recursive: true })
  }
  console.log(`built ${outfile.slice(top.length + 1)}`)
}

/** Has the engine start no thread that fetches memory for far more than a call: some 5 % of a call's processor time. */
const option = ['BUN_JSC_useWarmUpMarkedBlocks', '0'] as const

/**
 * Flags by which the shim passes {@link option} to `program`, and to no other: the engine ends if it knows no option of that name.
 * None for a program that does not run with it.
 */
function optionFlags(program: string): readonly string[] {
  const env = { CNI_COMMAND: 'VERSION', [option[0]]: option[1] }
  const calling = { env, extendEnv: false, reject: false } as const
  const { failed, stderr } =
    arch === undefined
      ? execaSync(program, { ...calling, argv0: 'vf-attach' })
      : // A program for another processor can't be run; the engine of this one, of the same version, can.
        execaSync(process.execPath, ['--eval', ''], calling)
  if (!failed)
    return [`-DVF_FLOWER_OPTION="${option.join('=')}"`, `-DVF_FLOWER_BYTES=${statSync(program).size}`]
  console.warn(
    `${cniNames.join(' and ')} run slower: the engine can't do with ${option.join('=')}: ${stderr}`,
  )
  return []
}

/**
 * Compiles the program for the names of CNI plugins to `outfile`, or another program of ours without a C library. `program` is the
 * file that it is to become.
 * @returns the reason why it could not be made, for people; undefined on success
 */
function compileShim(
  outfile: string,
  testBuild: boolean,
  program?: string,
  source = 'src/agent/shim/shim.c',
): string | undefined {
  rmSync(outfile, { force: true })
  // Debian's package gcc-14 alone has no other name.
  const compilers = process.env.CC === undefined ? ['cc', 'gcc', 'gcc-14'] : [process.env.CC]
  const flags = [
    ...['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-s'],
    // No C library, and no calls of its functions in the place of loops.
    ...['-static', '-nostdlib', '-no-pie', '-fno-pie', '-ffreestanding'],
    ...['-fno-stack-protector', '-fno-tree-loop-distribute-patterns'],
    // Texts in the quotes of C, which are those of JSON here.
    `-DVF_FLOWER_BUILD=${JSON.stringify(buildId(testBuild))}`,
    ...(program === undefined ? [] : optionFlags(program)),
    `-DVF_FLOWER_VERSIONS=${JSON.stringify(`${stringify({ cniVersion: currentVersion, supportedVersions })}\n`)}`,
  ]
  for (const compiler of compilers) {
    const argv = [...flags, '-o', outfile, source]
    const { failed, code, stderr } = execaSync(compiler, argv, { cwd: top, reject: false })
    if (!failed) return undefined
    rmSync(outfile, { force: true })
    if (code !== 'ENOENT') return `"${compiler}" failed: ${stderr}`
  }
  return `there is no C compiler (${compilers.join(', ')})`
}

function link(folder: string, names: readonly string[]): void {
  for (const name of names) {
    const path = join(folder, name)
    rmSync(path, { force: true })
    symlinkSync('vf-flower', path)
  }
}

/** Puts a copy of the file `shim` under each name of a CNI plugin. */
function copyShim(shim: string, folder: string): void {
  for (const path of cniNames.map((name) => join(folder, name)).filter((path) => path !== shim)) {
    // The name may be a link of an earlier build into vf-flower: replace the link, do not write through it.
    rmSync(path, { force: true })
    copyFileSync(shim, path)
  }
}

/** Builds `dist`, and `dist/test` if that is wanted. */
function buildAll(): void {
  const dist = join(top, 'dist', arch === undefined ? '' : `${arch}${end}`)
  const folders = [dist]
  compile('src/main.ts', join(dist, 'vf-flower'), false, true)
  if (withTests) {
    folders.push(join(dist, 'test'))
    compile('src/main.ts', join(dist, 'test/vf-flower'), true, true)
    if (existsSync(join(top, 'hack/lab/driver/start.ts')))
      compile('hack/lab/driver/start.ts', join(dist, 'test/driver'), true)
  }
  let reason: string | undefined
  for (const folder of folders) {
    const shim = join(folder, 'vf-attach')
    reason ??= compileShim(shim, folder !== dist, join(folder, 'vf-flower'))
    link(folder, otherNames)
    if (reason === undefined) copyShim(shim, folder)
    else link(folder, cniNames)
  }
  if (reason === undefined)
    console.log(`built ${cniNames.map((name) => join(dist, name).slice(top.length + 1)).join(', ')}`)
  else
    console.warn(
      `${cniNames.join(' and ')} are the slower program itself (links to vf-flower), not the shim of src/agent/shim: ${reason}. They never ask vf-agent, and each call starts the engine. Multus 4.1 or newer as a daemon ("thick") cannot use what was built here: it runs plugins in a working directory outside of their root. Variables such as BUN_OPTIONS in a runtime's environment reach the program, and limits that are too low end it without a word. Install a C compiler and the headers of the C library (Debian: apt-get install gcc libc6-dev) and build again.`,
    )
}

const {
  shim,
  enter,
  arch,
  bun,
  libc,
  'with-tests': withTests,
} = parseArgs({
  options: {
    ...{ shim: { type: 'string' }, enter: { type: 'string' }, 'with-tests': { type: 'boolean' } },
    ...{ arch: { type: 'string' }, bun: { type: 'string' }, libc: { type: 'string' } },
  },
}).values
/** End of names, as Bun has them. */
const end = libc === undefined ? '' : `-${libc}`
if (shim === undefined && enter === undefined) buildAll()
const alone = [
  ['shim', shim, 'src/agent/shim/shim.c'],
  ['entry point', enter, 'src/agent/enter/enter.c'],
] as const
for (const [name, file, source] of alone) {
  const reason = file === undefined ? undefined : compileShim(resolve(file), false, undefined, source)
  if (reason === undefined) continue
  console.error(`Cannot compile the ${name}: ${reason}`)
  process.exitCode = 1
}
