// Random configs of vf-attach on random hosts, for software interfaces: after ADD and DEL, and after an ADD that was refused,
// the host is as before. test/lab/attach/property.test.ts has VFs. VF_SOAK_SEED replays a run.
// needs: veth, ifb
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { makeFields, removeFields } from '../../soak/fields.ts'
import { softwareDevices } from '../../soak/property.ts'
import { expectProperty } from '../../soak/property-suite.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import { lab as sharedLab } from '../../support/lab.ts'

let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

test('ADD and DEL of any config leave the host of a software interface as it was', {
  timeout: 1_800_000,
}, async () => {
  const before = await snapshot(lab)
  const fields = await makeFields(lab, undefined, 2)
  await expectProperty(lab, fields, softwareDevices, 100)
  await removeFields(lab, fields)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
