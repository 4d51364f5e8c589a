/**
 * Builds the one executable and its names: `dist/` for release, `dist/test/` the same sources with the fault hook, and
 * the test driver. Run by the pinned Bun: `npm run build`.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { execaSync } from 'execa'

const top = join(import.meta.dirname, '..')
const names = ['vf-attach', 'vf-offload', 'vfctl', 'vf-device-plugin']
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }

/** Loaded by `require`, by name and only for a line to write; inside the program it would slow every start. */
const logger = 'src/lib/pino.ts'

/** A hostile bunfig.toml or .env in the working directory must not run as root: neither is ever looked for. */
const flags = [
  'build',
  '--compile',
  '--minify',
  '--bytecode',
  '--format=esm',
  // What a call does not import is not even parsed: a quarter of the start of a VERSION.
  '--splitting',
  // Flat, so that src/lib/log.ts knows where the logger is.
  '--entry-naming=[name].[ext]',
  '--target=bun',
  // Code that runs once is not worth compiling: a quarter of what our own code costs in an ADD. Loops that run for long still are.
  '--compile-jit-policy=1000',
  '--no-compile-autoload-bunfig',
  '--no-compile-autoload-dotenv',
]

function compile(entry: string, outfile: string, testBuild: boolean): void {
  mkdirSync(dirname(outfile), { recursive: true })
  const defines = [`--define=VF_FLOWER_VERSION="${version}"`, `--define=VF_FLOWER_TEST_BUILD=${testBuild}`]
  execaSync(process.execPath, [...flags, ...defines, entry, logger, `--outfile=${outfile}`], {
    cwd: top,
    stdio: 'pipe',
  })
  console.log(`built ${outfile.slice(top.length + 1)}`)
}

function link(folder: string): void {
  for (const name of names) {
    const path = join(folder, name)
    rmSync(path, { force: true })
    symlinkSync('vf-flower', path)
  }
}

const dist = join(top, 'dist')
compile('src/main.ts', join(dist, 'vf-flower'), false)
link(dist)
if (process.argv.includes('--with-tests')) {
  compile('src/main.ts', join(dist, 'test/vf-flower'), true)
  link(join(dist, 'test'))
  if (existsSync(join(top, 'test/driver/start.ts')))
    compile('test/driver/start.ts', join(dist, 'test/driver'), true)
}
