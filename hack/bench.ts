/**
 * `npm run bench`: measures calls beside the distribution's Go plugins and the newest ones, by turns in one run, so that all meet the same
 * machine. Prints tables natively, then in the lab. Only the ratios count; the milliseconds belong to this machine. BENCH_ONLY has
 * the names of tables, with commas between. With `-- --against DIR` it compares this build with another one instead.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { execaSync } from 'execa'
import { inLab, LAB } from './bench/lab.ts'
import { NATIVE, natively } from './bench/natively.ts'
import { benchAgainst } from './bench-against.ts'
import { pairOptions } from './bench-pairs.ts'

const top = join(import.meta.dirname, '..')
const known: readonly string[] = [...NATIVE, ...LAB]

const pair = pairOptions(process.argv.slice(2))
const names = process.env.BENCH_ONLY?.split(',') ?? known
const unknown = names.find((name) => !known.includes(name))
if (unknown !== undefined)
  throw new Error(
    `Cannot use BENCH_ONLY=${unknown}: must be some of ${known.join(', ')}, with commas between`,
  )
execaSync(process.execPath, [join(top, 'hack/build.ts')], { stdio: 'inherit' })
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string }
console.log(`vf-flower ${version}, Bun ${Bun.version}`)
if (pair !== undefined) await benchAgainst(pair)
else {
  await natively(NATIVE.filter((name) => names.includes(name)))
  const rest = LAB.filter((name) => names.includes(name))
  if (rest.length > 0 && process.env.BENCH_LAB_ROUNDS !== '0') await inLab(rest)
}
