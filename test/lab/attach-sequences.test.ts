// Random sequences of ADD, DEL, CHECK and GC with crashes, of several containers that share VFs and die: nobody is robbed,
// nothing is left. Each sequence has a seed; VF_SOAK_SEED=seed VF_SOAK_COUNT=1 replays one.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../hack/lab/lab.ts'
import { leaveGuest, placesOf, prepareGuest } from '../soak/run.ts'
import { seedOf } from '../soak/seed.ts'
import { runSequences } from '../soak/sequences.ts'
import { lab as sharedLab } from '../support/lab.ts'
import { diffSnapshot, snapshot } from '../support/snapshot.ts'
import type { Topology } from '../support/topology.ts'
import { makeVfs, removeVfs } from '../support/vfs.ts'

let lab: Lab
let topology: Topology

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
  topology = await makeVfs(lab, 6)
})

afterAll(async () => {
  if (topology === undefined) return
  await removeVfs(lab, topology)
  await leaveGuest(lab)
})

test('50 random sequences with crashes leave nothing', { timeout: 1_800_000 }, async () => {
  const seed = seedOf(process.env)
  const count = Number(process.env.VF_SOAK_COUNT ?? 50)
  const before = await snapshot(lab)
  const { verbs, left, failures } = await runSequences(lab, placesOf(topology, 2, 3), seed, count)
  console.log(`sequences of vf-attach, seed ${seed}: ${count}, verbs ${JSON.stringify(verbs)}`)
  expect(failures, failures.join('\n')).toEqual([])
  expect(left).toEqual({ vfs: 0, addresses: 0, records: 0 })
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
