// vf-attach killed or failed at every step of every verb, and on the way back of an ADD whose last operation was refused:
// afterwards DEL, or GC alone, leads back to the host as it was. The tables of what was hit are printed. Each place gets one
// fault here, in turn, the first by VF_SOAK_SEED; all five by `npm run test:soak`. VF_FAULT_CASE runs one case of a failure
// again. A VF in legacy mode; of one in switchdev mode (simnic, from source, not hardware) and of a software interface what
// the first has not.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { invert } from '../../src/ops/op.ts'
import { examples } from '../ops/examples.ts'
import {
  bridge,
  bridgeSubject,
  isOfRepresentor,
  makeBridgePlaces,
  removeBridgePlaces,
} from '../soak/attach-bridge-subject.ts'
import { attachSubject } from '../soak/attach-subject.ts'
import {
  isOfSoftware,
  makeVethPlaces,
  removeVethPlaces,
  vethBridge,
  vethSubject,
} from '../soak/attach-veth-subject.ts'
import { faults, verbs } from '../soak/fault-cases.ts'
import { type FaultOptions, type FaultRow, runFaultTable } from '../soak/faults.ts'
import { leaveGuest, placesOf, prepareGuest } from '../soak/run.ts'
import type { Place } from '../soak/script.ts'
import { seedOf } from '../soak/seed.ts'
import { countOf, expectFaultTable } from '../support/fault-report.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { diffSnapshot, isCarrierOf, snapshot } from '../support/snapshot.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

const seed = seedOf(process.env)
const only = process.env.VF_FAULT_CASE
const timeout = 1_800_000
/** Of all tables so far. */
const rows: FaultRow[] = []

let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

/** Runs a table, prints it and fails unless every case led back and every step was hit. */
async function runTable(
  device: string,
  options: Pick<FaultOptions, 'subject' | 'places' | 'chosen'>,
): Promise<readonly FaultRow[]> {
  const before = await snapshot(lab)
  const started = Date.now()
  const report = await runFaultTable(lab, { ...options, seed, only, full: false, wayBack: true })
  rows.push(...report.rows)
  expectFaultTable(`fault table of vf-attach, ${device}, seed ${seed}`, report, started, only)
  // A bridge has a carrier as long as one of its ports has.
  const lines = diffSnapshot(before, await snapshot(lab))
  expect(lines.filter((line) => ![bridge, vethBridge].some((name) => isCarrierOf(name, line)))).toEqual([])
  return report.rows
}

describe('a VF in legacy mode', () => {
  let topology: Topology
  beforeAll(async () => {
    topology = await makeVfs(lab, 2)
  })
  afterAll(async () => {
    if (topology !== undefined) await removeVfs(lab, topology)
  })

  test('killed or failed before and after each step: DEL or GC leads back', { timeout }, async () => {
    const own = await runTable('VF in legacy mode', {
      subject: attachSubject,
      places: placesOf(topology, 2, 1),
    })
    if (only !== undefined) return
    for (const verb of verbs) {
      const hit = own.filter((row) => row.verb === verb).flatMap((row) => Object.values(row.hits))
      expect(new Set(hit.flatMap((one) => Object.keys(one)))).toEqual(new Set(faults))
    }
    // Every kind of step, and as many operations as a rich config needs.
    const count = (verb: string, kind: string) => countOf(own, verb, kind)
    expect(count('ADD', 'op')).toBeGreaterThanOrEqual(10)
    expect(count('DEL', 'op')).toBeGreaterThanOrEqual(8)
    expect(count('GC', 'op')).toBeGreaterThanOrEqual(8)
    expect([count('ADD', 'file'), count('DEL', 'file'), count('GC', 'file')]).toEqual([3, 2, 2])
    expect(['ADD', 'CHECK', 'DEL', 'GC'].map((verb) => count(verb, 'ipam'))).toEqual([1, 1, 1, 1])
    // On the way back: operations taken back, the addresses, claim and record.
    expect(count('failed ADD', 'undo')).toBeGreaterThanOrEqual(10)
    expect([count('failed ADD', 'ipam'), count('failed ADD', 'file')]).toEqual([1, 2])
  })
})

describe.each<{
  readonly device: string
  readonly make: (lab: Lab, count: number) => Promise<Place[]>
  readonly remove: (lab: Lab) => Promise<void>
  readonly table: Pick<FaultOptions, 'subject' | 'chosen'>
}>([
  {
    device: 'a VF in switchdev mode',
    make: makeBridgePlaces,
    remove: removeBridgePlaces,
    table: { subject: bridgeSubject, chosen: isOfRepresentor },
  },
  {
    device: 'a software interface',
    make: makeVethPlaces,
    remove: removeVethPlaces,
    table: { subject: vethSubject, chosen: isOfSoftware },
  },
])('$device', ({ device, make, remove, table }) => {
  let places: Place[]
  beforeAll(async () => {
    places = await make(lab, 2)
  })
  afterAll(() => remove(lab))

  test('killed or failed at what it alone has: DEL or GC leads back', { timeout }, async () => {
    await runTable(device, { ...table, places })
  })
})

test('the tables hit every operation of the plan, and what takes it back', () => {
  if (only !== undefined) return
  const source = readFileSync(new URL('../../src/attach/plan.ts', import.meta.url), 'utf8')
  const planned = [
    ...new Set([...source.matchAll(/\bdo: '([\w.]+)'/g)].map(([, op]) => op as keyof typeof examples)),
  ]
  expect(planned.length).toBeGreaterThanOrEqual(11)
  const hit = (verb: string, kind: string) =>
    rows.flatMap((row) => (row.verb === verb && row.point.startsWith(kind) ? (row.op ?? []) : []))
  expect(planned.filter((op) => !hit('ADD', 'op:').includes(op))).toEqual([])
  const inverses = planned.flatMap((op) => invert(examples[op])?.do ?? [])
  expect(inverses.filter((op) => !hit('failed ADD', 'undo:').includes(op))).toEqual([])
})
