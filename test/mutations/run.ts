/**
 * `npm run test:mutations`: makes every mistake of test/mutations in a copy of the tree, one at a time, and runs the test that has to
 * notice the mistake. A mistake that no test notices is a failure; so is a mistake whose place in the source has changed.
 *
 *     npm run test:mutations -- [ID or FOLDER of src ...] [--tier quick|lab]
 *
 * Without words it runs all mutations, those that need a virtual machine last. Before the first mistake all named tests must pass.
 * The last line is `N passed, N failed`.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { execa, execaSync } from 'execa'
import { mutations } from './list.ts'
import type { Mutation, TestName } from './mutation.ts'
import { isCompiled, lineOf, mutated, namePattern, pathOfTest } from './place.ts'

const top = join(import.meta.dirname, '../..')
const tiers = ['quick', 'lab'] as const
/** A mistake can make a test wait for ever. Longest run in seconds, and the addition for each test in it. */
const patience = { quick: 180, lab: 1800 } as const
const patienceForOne = { quick: 20, lab: 300 } as const

const { values, positionals } = parseArgs({ options: { tier: { type: 'string' } }, allowPositionals: true })
const chosen = choose(positionals, values.tier)

/** The result of a test in one run of vitest. */
interface Case {
  readonly file: string
  readonly title: string
  readonly status: string
  readonly message: string
}

/** The outcome of one run of vitest. */
interface Outcome {
  readonly cases: readonly Case[]
  /** Files that could not be loaded, or whose hooks failed, with the reason. */
  readonly broken: ReadonlyMap<string, string>
}

/** The end of a mutation: `reason` says why it counts as failed. */
interface Ended {
  readonly mutation: Mutation
  readonly reason: string | undefined
}

const copy = mkdtempSync(join(tmpdir(), 'vf-mutations-'))
const ended: Ended[] = []
/** PID of the running vitest, which leads a process group. */
let running: number | undefined
// An interrupted run leaves nothing behind either.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    endGroup()
    process.exit(130)
  })
process.once('exit', () => rmSync(copy, { recursive: true, force: true }))

makeCopy()
const tests = readdirSync(join(copy, 'test'), { recursive: true, encoding: 'utf8' }).map(
  (file) => `test/${file}`,
)
for (const tier of tiers)
  await runTier(
    tier,
    chosen.filter((one) => one.tier === tier),
  )
printTable()

/** The mutations of the command line. */
function choose(words: readonly string[], tier: string | undefined): readonly Mutation[] {
  if (tier !== undefined && !tiers.some((known) => known === tier))
    throw new Error(`Cannot use --tier ${tier}: must be ${tiers.join(' or ')}`)
  const isMeant = ({ id, file }: Mutation, word: string) => id === word || file.startsWith(`src/${word}/`)
  for (const word of words)
    if (!mutations.some((one) => isMeant(one, word)))
      throw new Error(`Cannot find a mutation "${word}": must be an id or a folder of src`)
  return mutations
    .filter((one) => words.length === 0 || words.some((word) => isMeant(one, word)))
    .filter((one) => tier === undefined || one.tier === tier)
}

/** Copies all files of the checkout that git would take. Links each package by itself, because caches are made beside them. */
function makeCopy(): void {
  const { stdout } = execaSync(
    'git',
    ['-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    { cwd: top },
  )
  for (const file of stdout.split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    // The index still has a file that is deleted without a commit.
    try {
      cpSync(join(top, file), join(copy, file), { verbatimSymlinks: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(top, 'node_modules')))
    if (!['.vite', '.vite-temp'].includes(name))
      symlinkSync(join(top, 'node_modules', name), join(copy, 'node_modules', name))
}

/** Runs the tests of a tier without a mistake, then with each mistake. */
async function runTier(tier: Mutation['tier'], list: readonly Mutation[]): Promise<void> {
  if (list.length === 0) return
  console.log(`== ${tier}: ${list.length} mutations, the tests without them first`)
  const needsBuild = (one: Mutation) => isCompiled(pathOfTest(tests, one.test[0]) ?? '')
  // Mutations that need a build come last: until then nothing is built.
  const inOrder = [...list.filter((one) => !needsBuild(one)), ...list.filter(needsBuild)]
  if (list.some(needsBuild)) build()
  const named = list.map(({ test }) => test).filter((test) => tier === 'lab' || !needsMachine(test))
  const before = await run(tier, named)
  for (const mutation of inOrder) {
    const started = Date.now()
    const reason = unusable(mutation, before) ?? (await judge(mutation, needsBuild(mutation)))
    const seconds = ((Date.now() - started) / 1000).toFixed(1)
    ended.push({ mutation, reason })
    const { id, file, test } = mutation
    const words = reason === undefined ? `caught by ${test[0]} "${test[1]}"` : `FAILED: ${reason}`
    console.log(`${id} ${file}:${lineOf(textOf(file), mutation)}: ${words}, ${seconds} s`)
  }
}

/** The reason why a mutation's test proves nothing: the test is missing, or fails without the mistake. */
function unusable({ test, tier }: Mutation, before: Outcome): string | undefined {
  if (tier === 'quick' && needsMachine(test))
    return `${test[0]} needs a virtual machine: its tier must be lab`
  const own = casesOf(test, before)
  const broken = before.broken.get(pathOfTest(tests, test[0]) ?? '')
  if (broken !== undefined) return `${test[0]} fails as a whole without the mistake: ${short(broken)}`
  if (own.length === 0) return `${test[0]} has no test "${test[1]}" that runs`
  const bad = own.find(({ status }) => status !== 'passed')
  return bad && `"${bad.title}" fails without the mistake: ${short(bad.message)}`
}

/** Makes the mistake, runs its test and undoes the mistake. Returns the reason of a failure; undefined when the test notices it. */
async function judge(mutation: Mutation, needsBuild: boolean): Promise<string | undefined> {
  const { file, test, tier } = mutation
  const text = textOf(file)
  const wrong = mutated(text, mutation)
  if (wrong === undefined) return 'no longer applies: the old text must occur exactly once'
  writeFileSync(join(copy, file), wrong)
  try {
    if (needsBuild) build()
    const outcome = await run(tier, [test])
    const [broken] = outcome.broken.values()
    if (broken !== undefined) return `${test[0]} fails as a whole: ${short(broken)}`
    const own = casesOf(test, outcome)
    if (own.length === 0) return 'its test did not run'
    const red = own.filter(({ status }) => status === 'failed')
    if (red.length === 0) return 'survived: its test passes with the mistake'
    if (red.some(({ message }) => isAboutBehaviour(message))) return undefined
    return `its test fails, and not because of what it expects: ${short(red[0]?.message ?? '')}`
  } catch (error) {
    return `could not be run: ${short(error instanceof Error ? error.message : String(error))}`
  } finally {
    writeFileSync(join(copy, file), text)
  }
}

/** False for signs of a defect of the mutation itself: text that does not compile, a missing name, a time-out. */
function isAboutBehaviour(message: string): boolean {
  return !/^(SyntaxError|ReferenceError)|is not a function|is not defined|Cannot read prop|(Hook|Test) timed out/.test(
    message,
  )
}

function needsMachine([file]: TestName): boolean {
  return pathOfTest(tests, file)?.startsWith('test/lab/') === true
}

function textOf(file: string): string {
  return readFileSync(join(copy, file), 'utf8')
}

function build(): void {
  execaSync(process.execPath, [join(copy, 'hack/build.ts'), '--with-tests'], { cwd: copy })
}

/** Runs tests in the copy. @throws Error when vitest writes no report in time */
async function run(tier: Mutation['tier'], names: readonly TestName[]): Promise<Outcome> {
  const output = join(copy, 'report.json')
  rmSync(output, { force: true })
  const files = names.map(([file]) => pathOfTest(tests, file)).filter((file) => file !== undefined)
  if (files.length === 0) return { cases: [], broken: new Map() }
  const child = execa(
    join(copy, 'node_modules/.bin/vitest'),
    [
      ...['run', '--config', join(copy, 'test/vitest.config.ts'), '--retry', '0'],
      ...['--reporter=json', `--outputFile=${output}`, '-t', namePattern(names.map(([, title]) => title))],
      ...new Set(files),
    ],
    { cwd: copy, reject: false, detached: true },
  )
  running = child.pid
  let isLate = false
  const late = setTimeout(
    () => {
      isLate = true
      endGroup()
    },
    1000 * (patience[tier] + names.length * patienceForOne[tier]),
  )
  const { stderr, shortMessage } = await child
  clearTimeout(late)
  running = undefined
  if (isLate) throw new Error('it did not end in time')
  return outcomeIn(output, stderr || shortMessage || '')
}

/** Kills vitest with its children, because a worker in an endless loop handles no other signal. */
function endGroup(): void {
  try {
    if (running !== undefined) process.kill(-running, 'SIGKILL')
  } catch {
    // vitest has ended by itself.
  }
}

function outcomeIn(output: string, words: string): Outcome {
  let report: {
    readonly testResults: readonly {
      readonly name: string
      readonly status: string
      readonly message: string
      readonly assertionResults: readonly {
        readonly fullName: string
        readonly status: string
        readonly failureMessages?: readonly string[] | null
      }[]
    }[]
  }
  try {
    report = JSON.parse(readFileSync(output, 'utf8'))
  } catch {
    throw new Error(`vitest left no report: ${words}`)
  }
  const broken = new Map<string, string>()
  const cases = report.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(copy, name)
    if (status === 'failed' && assertionResults.every((one) => one.status !== 'failed'))
      broken.set(file, message)
    return assertionResults
      .filter((one) => one.status === 'passed' || one.status === 'failed')
      .map((one) => ({
        ...{ file, title: one.fullName, status: one.status },
        message: stripVTControlCharacters(one.failureMessages?.[0] ?? ''),
      }))
  })
  return { cases, broken }
}

function casesOf([file, title]: TestName, { cases }: Outcome): readonly Case[] {
  const path = pathOfTest(tests, file)
  return cases.filter((one) => one.file === path && one.title.includes(title))
}

/** The beginning of a message, in one line. */
function short(message: string): string {
  return message.replaceAll(/\s+/g, ' ').trim().slice(0, 300)
}

function printTable(): void {
  const row = (cells: readonly (string | number)[]) =>
    cells.map((cell, column) => (column === 0 ? String(cell).padEnd(8) : String(cell).padStart(9))).join(' ')
  const folderOf = ({ mutation }: Ended) => mutation.file.split('/')[1] ?? ''
  console.log(row(['folder', 'mutations', 'of undo', 'caught', 'failed']))
  for (const folder of new Set(ended.map(folderOf))) {
    const own = ended.filter((one) => folderOf(one) === folder)
    const bad = own.filter(({ reason }) => reason !== undefined)
    const undo = own.filter(({ mutation }) => mutation.undo === true)
    console.log(row([folder, own.length, undo.length, own.length - bad.length, bad.length]))
  }
  const failed = ended.filter(({ reason }) => reason !== undefined)
  for (const { mutation, reason } of failed)
    console.error(`failed: ${mutation.id}: ${mutation.mistake} ${reason}`)
  console.log(`${ended.length - failed.length} passed, ${failed.length} failed`)
  process.exitCode = failed.length === 0 ? 0 : 1
}
