// Random configs of vf-attach on random hosts, VFs and software interfaces: after ADD and DEL, and after an ADD that was
// refused, the host is as before. VF_SOAK_SEED replays a run.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { makeFields, removeFields } from '../soak/fields.ts'
import { runProperty } from '../soak/property.ts'
import { leaveGuest, prepareGuest } from '../soak/run.ts'
import { seedOf } from '../soak/seed.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs, resetVfs } from '../support/vfs.ts'

const runs = 40

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

test('any config: ADD and DEL leave the host as it was', { timeout: 1_800_000 }, async () => {
  const seed = seedOf(process.env)
  const before = await snapshot(lab)
  const fields = await makeFields(lab, topology, 2)
  const { accepted, refused, failures } = await runProperty(lab, fields, seed, runs)
  await removeFields(lab, fields)
  console.log(
    `configs of vf-attach, seed ${seed}: ${accepted} of ${runs} accepted, refused: ${JSON.stringify(refused)}`,
  )
  expect(failures, failures.join('\n')).toEqual([])
  expect(accepted).toBeGreaterThanOrEqual(0.3 * runs)
  await resetVfs(lab, topology)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
