// vf-offload in random sequences with crashes and with random configs, for pods behind a bridge; with VF_TEST_ALL=1 on VFs of
// a simulated NIC too (simnic in both modes, from source, not hardware). docs/testing.md says how to replay.
import { appendFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runOffloadFuzz } from '../soak/offload-fuzz.ts'
import { runOffloadSequences } from '../soak/offload-sequences.ts'
import { seedOf } from '../soak/seed.ts'
import { lab } from '../support/lab.ts'
import { type KindName, makeBed, type PortBed } from '../support/port-bed.ts'
import { makeNode, type Node } from '../support/port-node.ts'

const { VF_TEST_ALL, VF_SOAK_COUNT, VF_SOAK_SEQUENCES, VF_SOAK_CONFIGS, VF_SOAK_ROWS } = process.env
const kinds: readonly KindName[] =
  VF_TEST_ALL === '1' ? ['bridge', 'simnic-legacy', 'simnic-full'] : ['bridge']
const seed = seedOf(process.env)
const sequences = Number(VF_SOAK_COUNT ?? VF_SOAK_SEQUENCES ?? 50)
const configs = Number(VF_SOAK_COUNT ?? VF_SOAK_CONFIGS ?? 40)
const long = { timeout: 7_200_000, retry: 0 } as const
let node: Node
let bed: PortBed

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
})
afterAll(() => node?.end())

describe.each(kinds)('%s', (kind) => {
  beforeAll(async () => {
    bed = await makeBed(node, kind)
  })
  afterAll(() => bed?.end())

  test('random sequences with crashes leave nothing', long, async () => {
    const started = Date.now()
    const { verbs, failures, failedSeeds } = await runOffloadSequences(bed, seed, sequences)
    row(kind, 'sequences', sequences, failedSeeds, started)
    console.log(
      `sequences of vf-offload, ${kind}, seed ${seed}: ${sequences} in ${since(started)} s, verbs ${JSON.stringify(verbs)}`,
    )
    expect(failures).toEqual([])
    await bed.expectClean()
  })

  test('any config and any prevResult: an answer, and nothing left', long, async () => {
    const started = Date.now()
    const { runs, accepted, refused, failures, failedCases } = await runOffloadFuzz(bed, seed, configs)
    row(kind, 'configs', runs, failedCases, started)
    console.log(
      `configs of vf-offload, ${kind}, seed ${seed}: ${accepted} of ${runs} accepted, refused: ${JSON.stringify(refused)}, in ${since(started)} s`,
    )
    expect(failures).toEqual([])
    expect(accepted).toBeGreaterThanOrEqual(0.3 * runs)
    await bed.expectClean()
  })
})

/** A row of the table that `npm run test:soak` prints in the end. */
function row(kind: KindName, what: string, count: number, failed: number, started: number): void {
  if (VF_SOAK_ROWS !== undefined)
    appendFileSync(VF_SOAK_ROWS, `${[kind, what, count, failed, since(started)].join(' ')}\n`)
}

function since(started: number): number {
  return Math.round((Date.now() - started) / 1000)
}
