// A few random configs of vf-attach on random hosts, for VFs: after ADD and DEL, and after an ADD that was refused, the host is
// as before. test/native/attach/property.test.ts has many for software interfaces. VF_SOAK_SEED replays a run.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { loadIgb, type Topology } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { makeFields, removeFields } from '../../soak/fields.ts'
import { vfDevices } from '../../soak/property.ts'
import { expectProperty } from '../../soak/property-suite.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs, resetVfs } from '../../support/vfs.ts'

let lab: Lab
let topology: Topology

beforeAll(async () => {
  lab = await sharedLab()
  await loadIgb(lab)
  await prepareGuest(lab)
  topology = await makeVfs(lab, 2)
})

afterAll(async () => {
  if (topology === undefined) return
  await removeVfs(lab, topology)
  await leaveGuest(lab)
})

test('ADD and DEL of any config leave the host of a VF as it was', { timeout: 1_800_000 }, async () => {
  const before = await snapshot(lab)
  const fields = await makeFields(lab, topology, 2)
  await expectProperty(lab, fields, vfDevices, 12)
  await removeFields(lab, fields)
  await resetVfs(lab, topology)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
