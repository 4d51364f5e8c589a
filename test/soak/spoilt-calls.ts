/**
 * The long form of the tests with spoilt calls. Runs natively: both plugins beside each other, and beside them calls of vf-offload
 * while the node's rules are flushed. In: the number of calls. Out: the numbers of passed and failed calls.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { longForms } from './long-forms.ts'

const top = join(import.meta.dirname, '../..')

/**
 * Makes `calls` spoilt calls of each plugin. Prints the output of vitest, with each call that found something.
 * @returns the calls without findings, and the failures; a run that broke down is one failure
 */
export function soakFuzz(
  plugins: readonly ('attach' | 'offload')[],
  calls: number,
  seed: number,
): { passed: number; failed: number } {
  const folder = mkdtempSync(join(tmpdir(), 'vf-soak-'))
  try {
    const output = join(folder, 'report.json')
    const { exitCode } = execaSync(
      join(top, 'node_modules/.bin/vitest'),
      [
        ...['run', '--config', join(top, 'test/vitest.config.ts'), '--project', 'native', '--project', 'lab'],
        ...['--retry', '0', '--reporter=verbose', '--reporter=json', `--outputFile.json=${output}`],
        ...plugins.flatMap((plugin) => longForms[plugin]),
      ],
      {
        ...{ cwd: top, stdio: 'inherit', reject: false },
        env: {
          ...{ VF_SOAK_SEED: String(seed), VF_FUZZ_CALLS: String(calls) },
          VF_FLUSH_CALLS: String(Math.ceil(calls / 25)),
        },
      },
    )
    const { numFailedTests } = JSON.parse(readFileSync(output, 'utf8')) as { numFailedTests: number }
    const failed = Math.max(numFailedTests, exitCode === 0 ? 0 : 1)
    return { passed: calls * Math.max(0, plugins.length - failed), failed }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
