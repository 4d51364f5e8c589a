// vf-attach killed or failed at every step of every verb, with all five faults before and after each, and on the way back of an
// ADD whose last operation was refused: afterwards DEL, or GC alone, leads back to the host as it was. A software interface;
// test/lab/attach/faults.test.ts has the steps that a VF alone has. The table of what was hit is printed. VF_FAULT_CASE runs
// one case of a failure again.
// needs: veth, bridge
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { expectEveryOperation, only, runTable } from '../../soak/attach-tables.ts'
import {
  announcedSubject,
  makeVethPlaces,
  removeVethPlaces,
  vethSubject,
} from '../../soak/attach-veth-subject.ts'
import { faults, verbs } from '../../soak/fault-cases.ts'
import type { FaultRow } from '../../soak/faults.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import type { Place } from '../../soak/script.ts'
import { countOf } from '../../support/fault-report.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const timeout = 1_800_000
/** Of all tables so far. */
const rows: FaultRow[] = []
let lab: Lab
let places: Place[]

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
  places = await makeVethPlaces(lab, 3)
})
afterAll(async () => {
  await removeVethPlaces(lab)
  await leaveGuest(lab)
})

test('DEL or GC leads back from a kill or a failure before and after each step of a software interface', {
  timeout,
}, async () => {
  const own = await runTable(lab, 'a software interface', { subject: vethSubject, places, extent: 'full' })
  rows.push(...own)
  if (only !== undefined) return
  for (const { hits, verb, point } of own)
    for (const when of ['before', 'after'] as const)
      expect([verb, point, when, ...Object.keys(hits[when])]).toEqual([verb, point, when, ...faults])
  expect(new Set(own.map(({ verb }) => verb))).toEqual(new Set(verbs))
  // Every kind of step, and as many operations as a rich config needs.
  const count = (verb: string, kind: string) => countOf(own, verb, kind)
  expect(count('ADD', 'op')).toBeGreaterThanOrEqual(10)
  expect(count('DEL', 'op')).toBeGreaterThanOrEqual(5)
  expect([count('ADD', 'file'), count('DEL', 'file'), count('GC', 'file')]).toEqual([2, 2, 1])
  expect(['ADD', 'CHECK', 'DEL', 'GC'].map((verb) => count(verb, 'ipam'))).toEqual([1, 1, 1, 1])
  // Things that a move takes are given back: six.
  const given = (verb: string) => own.filter((row) => row.verb === verb && row.op === 'carried.give').length
  expect([given('DEL'), given('failed ADD')]).toEqual([6, 6])
  // On the way back: operations taken back, the addresses and the record.
  expect(count('failed ADD', 'undo')).toBeGreaterThanOrEqual(10)
  expect([count('failed ADD', 'ipam'), count('failed ADD', 'file')]).toEqual([1, 1])
})

test('DEL or GC leads back from a kill or a failure while the plugin announces its addresses itself', {
  timeout,
}, async () => {
  const options = { subject: announcedSubject, places, extent: 'full' } as const
  rows.push(...(await runTable(lab, 'announcement', { ...options, chosen: ({ op }) => op === 'announce' })))
})

test('the tables hit every operation of the plan, and what takes it back', () => {
  expectEveryOperation('software', rows)
})
