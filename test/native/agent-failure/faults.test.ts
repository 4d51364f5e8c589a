// A worker that is killed before or after each step of each verb: the call is done all the same, once, and answered once, and DEL or GC
// leads back to the host as it was. The steps are those of vf-attach with a software interface; test/native/attach/faults.test.ts has the
// same table for calls without an agent. VF_SOAK_FAULTS=full strikes each step with each fault. VF_FAULT_CASE runs one case again.
// needs: veth, bridge
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { only, runTable } from '../../soak/attach-tables.ts'
import { makeVethPlaces, removeVethPlaces, vethSubject } from '../../soak/attach-veth-subject.ts'
import type { Point } from '../../soak/fault-cases.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import type { Place } from '../../soak/script.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { agentStatus, startAgent } from '../../support/warm-agent.ts'

const isLong = process.env.VF_SOAK_FAULTS === 'full' || process.env.VF_TEST_ALL === '1'
/** The short form leaves out the steps on the way back of an ADD. */
const extent = isLong
  ? ({ extent: 'full' } as const)
  : ({ extent: 'killed', chosen: ({ verb }: Point) => verb !== 'failed ADD' } as const)
let lab: Lab
let places: Place[]

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
  places = await makeVethPlaces(lab, 2)
  await startAgent(lab, { settings: { workers: 4 } })
})
afterAll(async () => {
  await removeVethPlaces(lab)
  await leaveGuest(lab)
})

test('a worker killed at each step costs no call its answer or its effect', {
  timeout: 1_800_000,
}, async () => {
  const subject = { ...vethSubject, warm: true }
  const rows = await runTable(lab, 'a software interface, warm', { subject, places, ...extent })
  if (only !== undefined) return
  expect(rows.length).toBeGreaterThanOrEqual(30)
  const kills = rows.flatMap(({ hits }) => [hits.before.SIGKILL ?? 0, hits.after.SIGKILL ?? 0])
  // No case counts as struck whose call ran alone: the program would have been killed.
  expect((await agentStatus(lab)).refusals).toEqual({})
  expect(kills.reduce((sum, one) => sum + one)).toBeGreaterThanOrEqual(30)
})
