// vf-attach killed or failed at the steps that a VF alone has, and on the way back of an ADD whose last operation was refused:
// afterwards DEL, or GC alone, leads back to the host as it was. Each step is struck once, before or after it, by one of five
// faults, in turn, the first by VF_SOAK_SEED; test/native/attach/faults.test.ts has all faults at all other steps, and
// `npm run test:soak` all faults at all steps. The tables of what was hit are printed. VF_FAULT_CASE runs one case of a
// failure again. A VF in legacy mode, and one in switchdev mode (simnic, from source, not hardware).
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadIgb, type Topology } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import {
  bridgeSubject,
  isOfRepresentor,
  makeBridgePlaces,
  removeBridgePlaces,
} from '../../soak/attach-bridge-subject.ts'
import { attachSubject } from '../../soak/attach-subject.ts'
import { expectEveryOperation, isOfVf, only, runTable } from '../../soak/attach-tables.ts'
import type { FaultRow } from '../../soak/faults.ts'
import { leaveGuest, placesOf, prepareGuest } from '../../soak/run.ts'
import type { Place } from '../../soak/script.ts'
import { countOf } from '../../support/fault-report.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

const timeout = 1_800_000
/** Of all tables so far. */
const rows: FaultRow[] = []

let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await loadIgb(lab)
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

describe('a VF in legacy mode', () => {
  let topology: Topology
  beforeAll(async () => {
    topology = await makeVfs(lab, 2)
  })
  afterAll(async () => {
    if (topology !== undefined) await removeVfs(lab, topology)
  })

  test('is led back by DEL or GC from a kill or a failure at each step that it alone has', {
    timeout,
  }, async () => {
    const places = placesOf(topology, 2, 1)
    const own = await runTable(lab, 'VF in legacy mode', {
      subject: attachSubject,
      places,
      chosen: isOfVf,
      extent: 'once',
    })
    rows.push(...own)
    if (only !== undefined) return
    for (const verb of ['ADD', 'DEL']) expect(countOf(own, verb, 'op')).toBeGreaterThanOrEqual(2)
    expect(countOf(own, 'GC', 'op')).toBeGreaterThanOrEqual(8)
    expect(countOf(own, 'failed ADD', 'undo')).toBeGreaterThanOrEqual(2)
    // The claim, and the note that a pod has the VF, or had it.
    const files = ['ADD', 'DEL', 'GC', 'failed ADD'].map((verb) => countOf(own, verb, 'file'))
    expect(files).toEqual([2, 2, 2, 2])
  })
})

describe('a VF in switchdev mode', () => {
  let places: Place[]
  beforeAll(async () => {
    places = await makeBridgePlaces(lab, 2)
  })
  afterAll(() => removeBridgePlaces(lab))

  test('is led back by DEL or GC from a kill or a failure at each step that it alone has', {
    timeout,
  }, async () => {
    rows.push(
      ...(await runTable(lab, 'VF in switchdev mode', {
        subject: bridgeSubject,
        places,
        chosen: isOfRepresentor,
        extent: 'once',
      })),
    )
  })
})

test('the tables hit every operation of the plan, and what takes it back', () => {
  expectEveryOperation('VF', rows)
})
