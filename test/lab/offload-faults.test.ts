// vf-offload killed or failed at every step of every verb: afterwards DEL, or GC alone, leads back to the node as it was.
// The table of what was hit is printed. On a VF of a simulated NIC in switchdev mode, where an ADD does most (simnic, from
// source, not hardware), each step once, before or after it; with VF_TEST_ALL=1 in legacy mode and behind a bridge too, with
// VF_SOAK_FAULTS=short before and after each step, with full all five faults. docs/testing.md says how to replay.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runFaultTable } from '../soak/faults.ts'
import { offloadPlace, offloadSubject } from '../soak/offload-subject.ts'
import { seedOf } from '../soak/seed.ts'
import { countOf, expectFaultTable } from '../support/fault-report.ts'
import { lab } from '../support/lab.ts'
import { type KindName, makeBed, type PortBed } from '../support/port-bed.ts'
import { makeNode, type Node } from '../support/port-node.ts'

const { VF_TEST_ALL, VF_SOAK_FAULTS, VF_FAULT_CASE } = process.env
const kinds: readonly KindName[] =
  VF_TEST_ALL === '1' ? ['bridge', 'simnic-legacy', 'simnic-full'] : ['simnic-full']
/** Operations of an ADD, and writes of files by ADD, DEL and GC, at least: where a clsact is made a note says so. */
const least: Readonly<
  Partial<Record<KindName, { readonly ops: number; readonly files: readonly number[] }>>
> = {
  bridge: { ops: 1, files: [3, 1, 1] },
  'simnic-legacy': { ops: 8, files: [4, 2, 2] },
  'simnic-full': { ops: 10, files: [5, 3, 3] },
}
const seed = seedOf(process.env)
const once = VF_SOAK_FAULTS === undefined
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

  test('killed or failed before or after each step: DEL or GC leads back', {
    timeout: 7_200_000,
  }, async () => {
    const { port, remove } = await bed.addInterface(bed.one)
    const started = Date.now()
    const report = await runFaultTable(bed.lab, {
      subject: offloadSubject(bed, port, {}),
      places: [offloadPlace],
      seed,
      full: VF_SOAK_FAULTS === 'full',
      once,
      only: VF_FAULT_CASE,
    })
    await remove()
    expectFaultTable(`fault table of vf-offload, ${kind}, seed ${seed}`, report, started, VF_FAULT_CASE, once)
    const { rows } = report
    if (VF_FAULT_CASE === undefined) {
      const { ops = 1, files = [] } = least[kind] ?? {}
      expect(countOf(rows, 'ADD', 'op')).toBeGreaterThanOrEqual(ops)
      expect(countOf(rows, 'DEL', 'op')).toBeGreaterThanOrEqual(2)
      expect(countOf(rows, 'GC', 'op')).toBeGreaterThanOrEqual(2)
      const counted = ['ADD', 'DEL', 'GC'].map((verb) => countOf(rows, verb, 'file'))
      expect(counted.map((count, at) => count >= (files[at] ?? 0))).toEqual([true, true, true])
    }
    await bed.expectClean()
  })
})
