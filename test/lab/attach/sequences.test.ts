// A few random sequences of ADD, DEL, CHECK and GC with crashes, of several containers that share VFs and die: nobody is robbed,
// nothing is left. test/native/attach/sequences.test.ts has many on software interfaces. Each sequence has a seed;
// VF_SOAK_SEED=seed VF_SOAK_COUNT=1 replays one.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { loadIgb, type Topology } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { leaveGuest, placesOf, prepareGuest } from '../../soak/run.ts'
import { vfKind } from '../../soak/sequence-devices.ts'
import { expectSequences } from '../../soak/sequence-suite.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeVfs, removeVfs } from '../../support/vfs.ts'

let lab: Lab
let topology: Topology

beforeAll(async () => {
  lab = await sharedLab()
  await loadIgb(lab)
  await prepareGuest(lab)
  topology = await makeVfs(lab, 4)
})

afterAll(async () => {
  if (topology === undefined) return
  await removeVfs(lab, topology)
  await leaveGuest(lab)
})

test('4 random sequences with crashes leave nothing', { timeout: 1_800_000 }, async () => {
  const before = await snapshot(lab)
  await expectSequences(lab, vfKind, placesOf(topology, 2, 2), 4)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
