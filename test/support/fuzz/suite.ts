// Runs the fuzzer as a test. In: a plugin, the number of spoilt calls for `npm test`. Out: nothing; throws with each failing call, its
// failures, and the way to replay it.
import { expect } from 'vitest'
import { seedOf } from '../../soak/seed.ts'
import { lab } from '../lab.ts'
import type { Plugin } from './draft.ts'
import type { Order, Report } from './guest.ts'

/**
 * VF_SOAK_SEED and VF_FUZZ_CASE replay one case, VF_FUZZ_CALLS asks for another number of calls. @throws Error for a
 * variable that is no whole number
 */
export async function expectFuzz(plugin: Plugin, calls: number): Promise<void> {
  const seed = seedOf(process.env)
  const number = numberOf('VF_FUZZ_CASE')
  const count = number === undefined ? (numberOf('VF_FUZZ_CALLS') ?? calls) : 1
  const from = number ?? 0
  const order: Order = { plugin, seed, from, to: from + count, enough: 10 }
  const argv = ['sh', 'hack/bun.sh', 'test/support/fuzz/guest.ts']
  const { code, stdout, stderr } = await (await lab()).exec(argv, {
    ...{ stdin: JSON.stringify(order), timeoutMs: 0 },
    onStderr: (words) => process.stderr.write(words),
  })
  if (code !== 0) throw new Error(`the fuzzer ended with ${code}: ${stderr}${stdout}`)
  const { spoilt, calls: all, ends, failures, ms } = JSON.parse(stdout) as Report
  const kinds = Object.entries(ends).sort(([one], [other]) => (one < other ? -1 : 1))
  console.log(
    `${plugin}, seed ${seed}: ${spoilt} spoilt calls of ${all} in ${Math.round(ms / 1000)} s: ${kinds.map(([kind, times]) => `${kind}: ${times}`).join(', ')}`,
  )
  expect(failures.length, failures.join('\n')).toBe(0)
  expect(spoilt).toBe(count)
}

function numberOf(name: string): number | undefined {
  const text = process.env[name]
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,9}$/.test(text)) throw new Error(`Cannot use ${name} "${text}": must be a whole number`)
  return Number(text)
}
