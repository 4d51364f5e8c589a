/**
 * `npm run test:platforms`: the compiled programs of the platforms that this machine is not of. For each the conformance tests, and for
 * arm64 the unit tests, too: in Node for arm64, with Bun for arm64 where a test calls the system. arm64 runs under qemu-user; musl on
 * x86-64 runs as it is. Needs root, and takes an hour. The last line is `N passed, N failed`.
 *
 *     npm run test:platforms -- linux-amd64-musl          one platform, or several
 *     npm run test:platforms -- --only conformance        or unit, or machine: calls on a kernel of arm64, in a virtual machine
 *     npm run test:platforms -- linux-arm64 --files test/sys
 *     npm run test:platforms -- linux-arm64 --built       without a build before it
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { execaSync } from 'execa'
import { z } from 'zod'
import { ownArchitecture } from '../../hack/image/layout.ts'
import { bunFor } from '../../hack/image/npm.ts'
import { compilerFor, type Platform, platformsOf } from '../../hack/release/platforms.ts'
import { reasonOf } from './known.ts'
import { runMachine } from './machine.ts'
import { asUser, binfmtFile, foreignNode, lackOfBinfmt, makeOverlay } from './system.ts'

const top = join(import.meta.dirname, '../..')
const vitest = [
  'node_modules/vitest/vitest.mjs',
  'run',
  '--config',
  'test/vitest.config.ts',
  '--project',
  'unit',
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    built: { type: 'boolean', default: false },
    files: { type: 'string', multiple: true, default: [] },
  },
})

const reportSchema = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string(),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
})

let passed = 0
let failed = 0

const isForeign = ({ architecture }: Platform) => architecture !== ownArchitecture

const isWanted = (name: string) => values.only === undefined || name === values.only

async function testMachine(folder: string, temporary: string): Promise<void> {
  console.log('== linux-arm64: machine')
  for (const line of await runMachine(join(top, 'dist', folder), join(temporary, 'machine'))) {
    if (/^(not )?ok /.test(line)) console.log(line)
    if (line.startsWith('ok ')) passed++
    if (line.startsWith('not ok ')) failed++
  }
}

/** The suites of a platform: words for vitest, and whether its workers are of that platform. */
function suitesOf(platform: Platform): readonly { name: string; words: readonly string[] }[] {
  const suites = [
    { name: 'conformance', words: values.files.length > 0 ? values.files : ['test/conformance/'] },
  ]
  const beside = values.files.length > 0 ? values.files : besideConformance()
  // Unit tests know no C library; those of the system call that of Bun.
  if (isForeign(platform) && platform.libc === 'glibc') suites.push({ name: 'unit', words: beside })
  return suites.filter(({ name }) => isWanted(name))
}

/** All of test/ but the conformance tests, by name: vitest has no `--exclude` for files of a project. */
function besideConformance(): string[] {
  const all = readdirSync(join(top, 'test'), { withFileTypes: true })
  return all
    .filter(({ name }) => name !== 'conformance')
    .filter((one) => one.isDirectory() || one.name.endsWith('.test.ts'))
    .map((one) => `test/${one.name}${one.isDirectory() ? '/' : ''}`)
}

async function test(platform: Platform): Promise<void> {
  const lock = readFileSync(join(top, 'package-lock.json'), 'utf8')
  const { architecture, libc, folder } = platform
  const bun = await bunFor(architecture, lock, libc)
  const words = [
    '--with-tests',
    '--arch',
    architecture,
    '--bun',
    bun,
    ...(libc === 'musl' ? ['--libc', libc] : []),
  ]
  const CC = compilerFor(architecture, ownArchitecture)
  if (!values.built)
    execaSync(process.execPath, ['hack/build.ts', ...words], { cwd: top, stdio: 'inherit', env: { CC } })
  const temporary = mkdtempSync(join(tmpdir(), 'vf-platform-'))
  try {
    if (platform.name === 'linux-arm64' && isForeign(platform) && isWanted('machine'))
      await testMachine(folder, temporary)
    makeOverlay(platform, temporary)
    for (const { name, words } of suitesOf(platform)) {
      console.log(`== ${platform.name}: ${name}`)
      const report = join(temporary, 'report.json')
      const isUnit = name === 'unit'
      const own = process.execPath
      const entering = [
        ...['sh', join(import.meta.dirname, 'enter.sh'), temporary],
        ...(isForeign(platform) ? [binfmtFile] : ['-']),
        ...(isUnit ? [bun, own] : ['-', '-']),
      ]
      const loading = isUnit ? ['--require', join(import.meta.dirname, 'workers.cjs')] : []
      const reporting = [
        `--reporter=${join(top, 'test/support/progress.ts')}`,
        '--reporter=json',
        `--outputFile.json=${report}`,
      ]
      execaSync(
        'unshare',
        [
          ...(isForeign(platform) ? asUser : ['--mount']),
          ...entering,
          ...['node', ...loading, ...vitest, ...reporting, ...words],
        ],
        {
          ...{ cwd: top, stdio: 'inherit', reject: false },
          env: {
            ...(isUnit ? { VF_WORKER_NODE: await foreignNode() } : {}),
            ...(isForeign(platform) ? { VF_TEST_SLOW: '1' } : {}),
            VF_FLOWER_BIN: join(top, 'dist', folder),
          },
        },
      )
      count(report, isForeign(platform))
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Failures that qemu explains are told and not counted as passed. */
function count(file: string, isEmulated: boolean): void {
  const { testResults } = reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  const told = new Map<string, number>()
  const tell = (reason: string) => told.set(reason, (told.get(reason) ?? 0) + 1)
  for (const { name, status, message, assertionResults } of testResults) {
    if (status === 'failed' && assertionResults.every((one) => one.status !== 'failed')) {
      const reason = isEmulated ? reasonOf(message) : undefined
      if (reason !== undefined) tell(reason)
      else {
        failed++
        console.error(`failed as a whole: ${relative(top, name)}: ${message.slice(0, 500)}`)
      }
    }
    for (const one of assertionResults) {
      if (one.status === 'passed') passed++
      if (one.status !== 'failed') continue
      const reason = isEmulated ? reasonOf(one.fullName) : undefined
      if (reason !== undefined) tell(reason)
      else {
        failed++
        console.error(
          `failed: ${relative(top, name)}: ${one.fullName}: ${one.failureMessages?.[0]?.slice(0, 500)}`,
        )
      }
    }
  }
  for (const [reason, times] of told) console.log(`not counted: ${times} failed, since ${reason}`)
}

try {
  const others = platformsOf(positionals).filter((one) => isForeign(one) || one.libc === 'musl')
  const lack = others.some(isForeign) ? lackOfBinfmt() : undefined
  if (lack !== undefined) console.error(`failed: arm64 can't be run: ${lack}`)
  for (const one of others) {
    if (lack !== undefined && isForeign(one)) failed++
    else await test(one)
  }
} catch (error) {
  console.error(error)
  failed++
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
