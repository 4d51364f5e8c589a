// vf-attach killed or failed at every step of every verb: afterwards DEL, or GC alone, leads back to the host as it was.
// The table of what was hit is printed. Each place gets one fault here, in turn, the first by VF_SOAK_SEED; all five by
// `npm run test:soak`. VF_FAULT_CASE runs one case of a failure again.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { attachSubject } from '../soak/attach-subject.ts'
import { runFaultTable } from '../soak/faults.ts'
import { leaveGuest, placesOf, prepareGuest } from '../soak/run.ts'
import { seedOf } from '../soak/seed.ts'
import { countOf, expectFaultTable } from '../support/fault-report.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

const ALL_FAULTS = ['EBUSY', 'EEXIST', 'ENODEV', 'ENOSPC', 'SIGKILL']

let lab: Lab
let topology: Topology

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
  topology = await makeVfs(lab, 2)
})

afterAll(async () => {
  if (topology === undefined) return
  await removeVfs(lab, topology)
  await leaveGuest(lab)
})

test('killed or failed before and after each step: DEL or GC leads back', {
  timeout: 1_800_000,
}, async () => {
  const seed = seedOf(process.env)
  const only = process.env.VF_FAULT_CASE
  const before = await snapshot(lab)
  const started = Date.now()
  const report = await runFaultTable(lab, {
    subject: attachSubject,
    places: placesOf(topology, 2, 1),
    seed,
    full: false,
    only,
  })
  expectFaultTable(`fault table of vf-attach, seed ${seed}`, report, started, only)
  const { rows } = report
  if (only === undefined) {
    for (const verb of ['ADD', 'DEL', 'GC']) {
      const hit = rows.filter((row) => row.verb === verb).flatMap((row) => Object.values(row.hits))
      expect([...new Set(hit.flatMap((one) => Object.keys(one)))].sort()).toEqual(ALL_FAULTS)
    }
    // Every kind of step, and as many operations as a rich config needs.
    const count = (verb: string, kind: string) => countOf(rows, verb, kind)
    expect(count('ADD', 'op')).toBeGreaterThanOrEqual(10)
    expect(count('DEL', 'op')).toBeGreaterThanOrEqual(8)
    expect(count('GC', 'op')).toBeGreaterThanOrEqual(8)
    expect([count('ADD', 'file'), count('DEL', 'file'), count('GC', 'file')]).toEqual([3, 2, 2])
    expect(['ADD', 'CHECK', 'DEL', 'GC'].map((verb) => count(verb, 'ipam'))).toEqual([1, 1, 1, 1])
  }
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
