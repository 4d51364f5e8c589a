/**
 * `npm run test:watch`: builds, then runs unit, conformance and native tests, and after a change the tests that it concerns.
 *
 *     npm run test:watch -- attach      files whose path holds the word; those of test/native and test/conformance run again
 *                                       after each build
 */
import { join } from 'node:path'
import { execaSync } from 'execa'

const top = join(import.meta.dirname, '..')
const options = { cwd: top, stdio: 'inherit', reject: false } as const
execaSync(process.execPath, [join(top, 'hack/build.ts'), '--with-tests'], options)
const words = process.argv.slice(2)
const { exitCode } = execaSync(
  join(top, 'node_modules/.bin/vitest'),
  [
    ...['watch', '--config', join(top, 'test/vitest.config.ts'), '--project', 'unit', '--project', 'native'],
    ...words,
  ],
  { ...options, env: { VF_WATCH_FILES: words.filter((word) => !word.startsWith('-')).join(' ') } },
)
process.exitCode = exitCode ?? 1
