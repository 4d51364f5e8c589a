/**
 * Tests that `npm run test:soak` runs once more with an agent, so that each call goes through a warm worker: the conformance suite in
 * namespaces of its own, and files of test/native whose nodes get an agent. The agent's counters show that the calls went through it.
 * `sh hack/bun.sh test/soak/both-ways.ts [conformance|nodes] [WORD...]` runs it alone; words choose files.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { longForms } from './long-forms.ts'

const top = join(import.meta.dirname, '../..')
const vitest = join(top, 'node_modules/.bin/vitest')

/** The outcome of both parts. */
export interface Outcome {
  readonly passed: number
  readonly failed: number
  /** A line for whatever was wrong beside the tests themselves. */
  readonly failures: readonly string[]
}

/** Counters of one agent. */
interface Counted {
  readonly name: string
  readonly answered: number
  readonly refusals: Readonly<Record<string, number>>
  readonly fallbacks: Readonly<Record<string, number>>
}

/** Fewer calls than this were not the conformance suite. */
const LEAST_CALLS = 100

/** Tests of what the program does by itself, which a worker does not: limits of the caller, files that it looks for, reads of its input. */
const ofProgram =
  '^(?!.*(RLIMIT_|hostile working directory|non-blocking and late|no file is created but the log))'

/** The conformance suite beside an agent of the release, in network, mount and pid namespaces of their own. */
export function conformanceWarm(words: readonly string[] = ['test/conformance']): Outcome {
  return inFolder((folder) => {
    const [report, status] = [join(folder, 'report.json'), join(folder, 'status')]
    const script = `set -e
      mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/netns; ip link set lo up
      "${top}/dist/vf-agent" </dev/null >"${folder}/log" 2>&1 & agent=$!
      n=0; while [ ! -S /run/vf-flower/agent.sock ]; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.05; done
      "$@" || true
      "${top}/dist/vfctl" agent --json >"${status}"; kill $agent`
    const test = [
      vitest,
      'run',
      '--config',
      join(top, 'test/vitest.config.ts'),
      '--project',
      'unit',
      '-t',
      ofProgram,
    ]
    const format = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    const unshare = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
    execaSync('unshare', [...unshare, 'sh', '-c', script, 'sh', ...test, ...format, ...words], {
      ...{ cwd: top, stdio: 'inherit', reject: false },
    })
    const { verbs } = JSON.parse(readFileSync(status, 'utf8')) as {
      verbs: { outcomes: Record<string, number> }[]
    }
    const answered = verbs.reduce((sum, { outcomes }) => sum + (outcomes.answered ?? 0), 0)
    const wrong = answered < LEAST_CALLS ? [`conformance: only ${answered} calls went through the agent`] : []
    console.log(`conformance: ${answered} calls through the agent`)
    return outcomeOf(report, wrong)
  })
}

/** The reason of a refusal that tests ask for. Calls are sent away, too, while workers pause that a fault has killed one by one. */
const ownPath = 'CNI_NETNS is a path of the caller itself'

/** Files that are run in nodes with an agent. */
const files = [
  ...longForms.scenarios.filter((one) => !one.includes('lab')),
  ...longForms.random,
  '/native/attach/add-del.test.ts',
  '/native/attach/sequences.test.ts',
]

/** Scenarios, random sequences and the verbs of vf-attach, in nodes that have an agent. */
export function nodesWarm(words: readonly string[] = files, env: Record<string, string> = {}): Outcome {
  return inFolder((folder) => {
    const [report, counted] = [join(folder, 'report.json'), join(folder, 'counted')]
    writeFileSync(counted, '')
    const argv = [
      'run',
      '--config',
      join(top, 'test/vitest.config.ts'),
      '--project',
      'native',
      '--retry',
      '0',
    ]
    const format = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
    execaSync(vitest, [...argv, ...format, ...words], {
      ...{ cwd: top, stdio: 'inherit', reject: false },
      env: { ...env, VF_TEST_AGENT: counted },
    })
    const lines = readFileSync(counted, 'utf8').split('\n').filter(Boolean)
    const all = lines.map((line) => JSON.parse(line) as Counted)
    const wrong = all.flatMap(({ name, answered, refusals, fallbacks }) => {
      const told = `${answered} answered, refused ${JSON.stringify(refusals)}, sent away ${JSON.stringify(fallbacks)}`
      console.log(`${name}: ${told}`)
      const isRefused = Object.keys(refusals).some((reason) => reason !== ownPath)
      return answered === 0 || isRefused ? [`${name}: ${told}`] : []
    })
    return outcomeOf(report, all.length === 0 ? ['no node had an agent'] : wrong)
  })
}

function inFolder(action: (folder: string) => Outcome): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'vf-both-ways-'))
  try {
    return action(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function outcomeOf(report: string, wrong: readonly string[]): Outcome {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8')) as {
    numPassedTests: number
    numFailedTests: number
  }
  return { passed: numPassedTests, failed: numFailedTests, failures: wrong }
}

if (import.meta.main) {
  const [part, ...words] = process.argv.slice(2)
  const chosen = words.length > 0 ? words : undefined
  const parts = {
    conformance: () => conformanceWarm(chosen),
    nodes: () => nodesWarm(chosen),
  }
  const both = ['conformance', 'nodes'] as const
  const wanted = both.filter((one) => part === undefined || part === one)
  for (const one of wanted) {
    const { passed, failed, failures } = parts[one]()
    for (const line of failures) console.log(`failed: ${line}`)
    console.log(`${one}: ${passed} passed, ${failed + failures.length} failed`)
    if (failed + failures.length > 0) process.exitCode = 1
  }
}
