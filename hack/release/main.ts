/**
 * `npm run release`: the files of a release in one folder. For each platform an archive that `vf-flower install` runs from; container
 * images; bills of materials; the changelog's section; sums. It is built twice, in different folders, and compared byte by byte.
 *
 *     npm run release                         of a clean commit whose version has a section in CHANGELOG.md, into dist/release
 *     npm run release -- --snapshot           of any tree; the version says of which commit
 *     npm run release -- --platform linux-arm64 --platform linux-arm64-musl
 *     npm run release -- --output FOLDER      a folder that is not there yet, or empty
 *     npm run release -- --once               builds once and compares nothing
 *
 * All times in the files are that of the commit, or SOURCE_DATE_EPOCH.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { bunFor } from '../image/npm.ts'
import { differences } from './compare.ts'
import { ReleaseError } from './errors.ts'
import { make } from './make.ts'
import { planRelease } from './plan.ts'
import { platformsOf } from './platforms.ts'
import { copyTree, treeFacts } from './tree.ts'

const top = join(import.meta.dirname, '../..')

const { values } = parseArgs({
  options: {
    snapshot: { type: 'boolean', default: false },
    platform: { type: 'string', multiple: true, default: [] },
    output: { type: 'string', default: join(top, 'dist/release') },
    once: { type: 'boolean', default: false },
  },
})

/** The folder for the files; one with something in it could be another release. @throws ReleaseError */
function outputFolder(): string {
  const output = resolve(values.output)
  if (existsSync(output) && readdirSync(output).length > 0)
    throw new ReleaseError(
      `The folder "${values.output}" is not empty: remove it, or name another one with --output`,
    )
  return output
}

function timeOf(word: string | undefined, ofCommit: number): number {
  if (word === undefined || word === '') return ofCommit
  const time = Number(word)
  if (/^\d+$/.test(word) && time < 2 ** 33) return time
  throw new ReleaseError(`SOURCE_DATE_EPOCH is "${word}"; must be seconds since 1970, below 2^33`)
}

async function main(): Promise<void> {
  const output = outputFolder()
  const tree = treeFacts(top)
  const plan = planRelease(tree, readFileSync(join(top, 'CHANGELOG.md'), 'utf8'), values.snapshot)
  const platforms = platformsOf(values.platform)
  const lock = readFileSync(join(top, 'package-lock.json'), 'utf8')
  const buns = new Map<string, string>()
  for (const { name, architecture, libc } of platforms) buns.set(name, await bunFor(architecture, lock, libc))
  const time = timeOf(process.env.SOURCE_DATE_EPOCH, tree.time)
  const build = { ...plan, commit: tree.commit, time, platforms, buns }
  const temporary = mkdtempSync(join(tmpdir(), 'vf-release-'))
  let isKept = false
  try {
    // Two paths of different lengths: a path in a file would show.
    const rounds = [join(temporary, 'one'), ...(values.once ? [] : [join(temporary, 'a/second/folder')])]
    for (const [index, folder] of rounds.entries()) {
      console.log(`build ${index + 1} of ${rounds.length}`)
      copyTree(top, join(folder, 'tree'), plan.version)
      make(join(folder, 'tree'), join(folder, 'out'), build)
    }
    const [first = '', second] = rounds.map((folder) => join(folder, 'out'))
    const different = second === undefined ? [] : differences(first, second)
    isKept = different.length > 0
    if (isKept)
      throw new ReleaseError(
        `Two builds of the same sources differ, so nothing was put into "${values.output}":\n  ${different.join('\n  ')}\nBoth are kept in ${temporary}`,
      )
    mkdirSync(dirname(output), { recursive: true })
    execaSync('cp', ['-rT', '--no-preserve=ownership', first, output])
    tell(output, plan.version, second !== undefined)
  } finally {
    if (!isKept) rmSync(temporary, { recursive: true, force: true })
  }
}

function tell(output: string, version: string, isCompared: boolean): void {
  console.log(`vf-flower ${version} in ${relative(process.cwd(), output) || '.'}:`)
  for (const file of readdirSync(output).sort())
    console.log(`  ${(statSync(join(output, file)).size / 1e6).toFixed(1).padStart(6)} MB  ${file}`)
  console.log(
    isCompared
      ? 'reproducible: two builds in different folders are the same, byte by byte'
      : 'not compared with a second build: --once',
  )
}

try {
  await main()
} catch (error) {
  if (!(error instanceof Error)) throw error
  console.error(`release: ${error.message}`)
  process.exitCode = 1
}
