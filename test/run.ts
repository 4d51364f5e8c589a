/**
 * `npm test`: types, lint, build, then every test in one run of vitest: first the tests without a virtual machine, then the others, in
 * up to three machines. The last line is `N passed, N failed` for all of it; each check before the tests counts as one.
 *
 *     npm test -- attach-del          files whose path holds a word, and any option of vitest
 *     npm run test:quick              without a virtual machine
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { execaSync } from 'execa'
import { testsOf } from './covers.ts'
import { place } from './support/placement.ts'

const top = join(import.meta.dirname, '..')
const bin = join(top, 'node_modules/.bin')

const QUICK = '--quick'
const words = process.argv.slice(2)
const isQuick = words.includes(QUICK)

/** Checks that must pass before a test is worth running. Each is a command; its output is shown. */
const checks: readonly (readonly [name: string, file: string, ...args: string[]])[] = [
  ['types', join(bin, 'tsc'), '--noEmit'],
  ['lint and format', join(bin, 'biome'), 'check', '--error-on-warnings', '.'],
  ['build', process.execPath, join(top, 'hack/build.ts'), '--with-tests'],
]

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly failureMessages?: readonly string[] | null
    }[]
  }[]
}

let passed = 0
let failed = 0

for (const [name, file, ...args] of checks) {
  console.log(`== ${name}`)
  const { exitCode } = execaSync(file, args, { cwd: top, stdio: 'inherit', reject: false })
  if (exitCode === 0) passed++
  else failed++
}

console.log('== tests')
const folder = mkdtempSync(join(tmpdir(), 'vf-test-'))
try {
  const output = join(folder, 'report.json')
  const { exitCode } = execaSync(
    join(bin, 'vitest'),
    [
      'run',
      '--config',
      join(top, 'test/vitest.config.ts'),
      `--reporter=${join(top, 'test/support/progress.ts')}`,
      '--reporter=json',
      `--outputFile.json=${output}`,
      ...(isQuick ? ['--project', 'unit', '--project', 'native'] : []),
      ...words.filter((word) => word !== QUICK).flatMap((word) => testsOf(word) ?? [word]),
    ],
    { cwd: top, stdio: 'inherit', reject: false },
  )
  count(read(output), exitCode ?? 1)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

const { lab, nowhere } = place(process.env)
if (isQuick) {
  for (const [file, lacking] of lab)
    console.log(`left to npm test: ${file}: this kernel lacks ${lacking.join(', ')}`)
}
for (const [file, why] of nowhere) console.log(`left out: ${file}: ${why}`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

function read(path: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report
  } catch {
    return undefined
  }
}

/** A file that could not be loaded, and a run that broke down without naming a test, count as one failure each. */
function count(report: Report | undefined, exitCode: number): void {
  if (report === undefined) {
    console.error('vitest left no report')
    failed++
    return
  }
  passed += report.numPassedTests
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  )
  // Repeated at the end, short, because often only the end of a long output is kept.
  for (const file of report.testResults) {
    for (const test of file.assertionResults) {
      if (test.status !== 'failed') continue
      console.error(
        `failed: ${relative(top, file.name)}: ${test.fullName}: ${short(test.failureMessages?.[0])}`,
      )
    }
  }
  for (const file of broken)
    console.error(`failed as a whole: ${relative(top, file.name)}: ${short(file.message)}`)
  const skipped = report.testResults.flatMap((file) =>
    broken.includes(file)
      ? []
      : file.assertionResults.filter((test) => test.status !== 'passed' && test.status !== 'failed'),
  )
  // A skipped test proves nothing: its title must give the reason, and it is listed here.
  for (const test of skipped) console.log(`not run: ${test.fullName}`)
  const failures = report.numFailedTests + broken.length
  failed += failures > 0 ? failures : exitCode === 0 ? 0 : 1
}

/** The beginning of a message, without colours. */
function short(message = ''): string {
  const plain = stripVTControlCharacters(message)
  return plain.length > 800 ? `${plain.slice(0, 800)} ...` : plain
}
