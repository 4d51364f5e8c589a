// Limits, killed or failed at every step of every verb: DEL, or GC alone, leads back, with the rates of VFs and of their
// ports as they were. Pods behind a bridge, and VFs of a simulated NIC in both modes (simnic, from source, not hardware).
// In `npm test` a VF in legacy mode alone, each step once, before or after it; VF_TEST_ALL=1 all three. With
// VF_SOAK_FAULTS=short before and after each step, with full all five faults.
// VF_SOAK_SEED and VF_FAULT_CASE as in attach-faults.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runFaultTable } from '../soak/faults.ts'
import { limits, offloadPlace, offloadSubject } from '../soak/offload-subject.ts'
import { seedOf } from '../soak/seed.ts'
import { countOf, expectFaultTable } from '../support/fault-report.ts'
import { lab } from '../support/lab.ts'
import { type KindName, makeBed } from '../support/port-bed.ts'
import { makeNode, type Node } from '../support/port-node.ts'

const { VF_SOAK_FAULTS, VF_FAULT_CASE, VF_TEST_ALL } = process.env
const once = VF_SOAK_FAULTS === undefined && VF_FAULT_CASE === undefined
const seed = seedOf(process.env)
let node: Node

beforeAll(async () => {
  node = await makeNode(await lab(), 'simnic')
})
afterAll(() => node?.end())

/** What had a rate before has it afterwards: the VF by its PF, or by its devlink port. */
const dressUp: Partial<Record<KindName, (pf: string, devlink: string) => string>> = {
  'simnic-legacy': (pf) => `ip link set ${pf} vf 2 max_tx_rate 77 min_tx_rate 3`,
  'simnic-full': (_, devlink) => `devlink port function rate set ${devlink}/3 tx_max 77mbit`,
}
const undress: typeof dressUp = {
  'simnic-legacy': (pf) => `ip link set ${pf} vf 2 max_tx_rate 0 min_tx_rate 0`,
  'simnic-full': (_, devlink) => `devlink port function rate set ${devlink}/3 tx_max 0`,
}

const kinds = [
  // The operations of an ADD: on the host a shaper, an ifb with another one, a clsact and the filter that leads there.
  ['bridge', limits.software, 5],
  // The VF's rate, and in the pod what is for the other direction.
  ['simnic-legacy', limits.nic, 5],
  // Policer, clsact and filter in the eSwitch, and the rate of the port.
  ['simnic-full', limits.nic, 4],
] as const

test.each(kinds.filter(([kind]) => VF_TEST_ALL === '1' || kind === 'simnic-legacy'))(
  '%s: limits killed or failed before or after each step',
  { timeout: 7_200_000 },
  async (kind, bandwidth, operations) => {
    const bed = await makeBed(node, kind)
    const { pf } = node.net
    const devlink = node.card?.devlink ?? ''
    const { port, remove } = await bed.addInterface(bed.one)
    await bed.lab.must(dressUp[kind]?.(pf, devlink) ?? 'true')
    const started = Date.now()
    const report = await runFaultTable(bed.lab, {
      subject: offloadSubject(bed, port, {}, { bandwidth }),
      places: [offloadPlace],
      seed,
      full: VF_SOAK_FAULTS === 'full',
      once,
      only: VF_FAULT_CASE,
    })
    await bed.lab.must(undress[kind]?.(pf, devlink) ?? 'true')
    await remove()
    expectFaultTable(`fault table of limits, ${kind}, seed ${seed}`, report, started, VF_FAULT_CASE, once)
    const { rows } = report
    if (VF_FAULT_CASE === undefined) {
      expect(countOf(rows, 'ADD', 'op')).toBe(operations)
      for (const verb of ['DEL', 'GC']) expect(countOf(rows, verb, 'op')).toBeGreaterThanOrEqual(3)
    }
    await bed.expectClean()
    await bed.end()
  },
)
