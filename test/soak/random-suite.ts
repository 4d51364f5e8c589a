/**
 * Makes the tests of random sequences and random configs of vf-offload. In: a node, kinds of port, how many of each. Out:
 * tests for vitest. VF_SOAK_COUNT, VF_SOAK_SEQUENCES and VF_SOAK_CONFIGS ask for other numbers.
 */
import { appendFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type KindName, makeBed, type PortBed } from '../../hack/lab/bed/port-bed.ts'
import { makeNode, type Nic, type Node } from '../../hack/lab/bed/port-node.ts'
import { lab } from '../support/lab.ts'
import { canLeadToIfb } from './every-frame.ts'
import { runOffloadFuzz } from './offload-fuzz.ts'
import { runOffloadSequences } from './offload-sequences.ts'
import { seedOf } from './seed.ts'

const { VF_SOAK_COUNT, VF_SOAK_SEQUENCES, VF_SOAK_CONFIGS, VF_SOAK_ROWS } = process.env
const seed = seedOf(process.env)
const long = { timeout: 7_200_000, retry: 0 } as const

/** The uplink of the node, the kinds of port of its pods, one after the other, and the number of tries on each. */
export interface RandomOptions {
  readonly nic: Nic
  readonly kinds: readonly KindName[]
  readonly sequences: number
  readonly configs: number
}

/** One node for all kinds, one bed for the tests of a kind. */
export function describeRandom({ nic, kinds, ...usual }: RandomOptions): void {
  const sequences = Number(VF_SOAK_COUNT ?? VF_SOAK_SEQUENCES ?? usual.sequences)
  const configs = Number(VF_SOAK_COUNT ?? VF_SOAK_CONFIGS ?? usual.configs)
  let node: Node
  let bed: PortBed

  beforeAll(async () => {
    node = await makeNode(await lab(), nic)
  })
  afterAll(() => node?.end())

  describe.each(kinds)('%s', (kind) => {
    beforeAll(async () => {
      bed = await makeBed(node, kind, { compares: false })
    })
    afterAll(() => bed?.end())

    test('random sequences with crashes leave nothing', long, async () => {
      const started = Date.now()
      const limited = (await canLeadToIfb(bed.lab)) ? 'both ways' : 'to the pod'
      const { verbs, failures, failedSeeds } = await runOffloadSequences(bed, seed, sequences, limited)
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
      expect(accepted).toBeGreaterThanOrEqual(Math.floor(0.3 * runs))
      await bed.expectClean()
    })
  })
}

/** A row of the table that `npm run test:soak` prints in the end. */
function row(kind: KindName, what: string, count: number, failed: number, started: number): void {
  if (VF_SOAK_ROWS !== undefined)
    appendFileSync(VF_SOAK_ROWS, `${[kind, what, count, failed, since(started)].join(' ')}\n`)
}

function since(started: number): number {
  return Math.round((Date.now() - started) / 1000)
}
