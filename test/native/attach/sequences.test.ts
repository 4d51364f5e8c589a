// Random sequences of ADD, DEL, CHECK and GC with crashes, of several containers that share software interfaces and die, and
// with each the interface that it has: nobody is robbed, nothing is left. test/lab/attach/sequences.test.ts has VFs. Each
// sequence has a seed; VF_SOAK_SEED=seed VF_SOAK_COUNT=1 replays one.
// needs: veth
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import { removePairs, vethKind, vethPlaces } from '../../soak/sequence-devices.ts'
import { expectSequences } from '../../soak/sequence-suite.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const places = vethPlaces(2, 3)
let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

test('120 random sequences with crashes on software interfaces leave nothing', {
  timeout: 1_800_000,
}, async () => {
  const before = await snapshot(lab)
  await lab.must(places.map((place) => vethKind.revive(place)).join('\n'))
  await expectSequences(lab, vethKind, places, 120)
  await lab.must(removePairs(places))
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
