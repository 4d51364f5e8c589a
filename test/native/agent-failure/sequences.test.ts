// Random sequences of ADD, DEL, CHECK and GC with crashes through an agent, while workers and supervisors are killed, paused, stopped and replaced at
// random: calls go warm and standalone in any mix, nobody is robbed, and nothing is left. Each sequence has a seed; VF_SOAK_SEED=seed
// VF_SOAK_COUNT=1 replays one.
// needs: veth
import { afterAll, beforeAll, expect, test } from 'vitest'
import { diffSnapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { leaveGuest, prepareGuest } from '../../soak/run.ts'
import { randomFrom, seedOf } from '../../soak/seed.ts'
import { removePairs, vethKind, vethPlaces } from '../../soak/sequence-devices.ts'
import { runSequences } from '../../soak/sequences.ts'
import { agentHarm } from '../../support/agent-harm.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { startAgent } from '../../support/warm-agent.ts'

const places = vethPlaces(3, 3)
const seed = seedOf(process.env)
const count = Number(process.env.VF_SOAK_COUNT ?? 30)
let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

test('random sequences with crashes leave nothing while agents come and go', {
  timeout: 1_800_000,
}, async () => {
  const before = await snapshot(lab)
  await lab.must(places.map((place) => vethKind.revive(place)).join('\n'))
  await startAgent(lab)
  const harm = agentHarm(lab, randomFrom(seed))
  const { verbs, left, failures } = await runSequences(lab, vethKind, places, seed, count, harm.hurt, true)
  const { happened, served } = await harm.done()
  console.log(
    `sequences of vf-attach with an agent, seed ${seed}: ${count}, verbs ${JSON.stringify(verbs)}, ${served} calls seen as served; ${happened.join(', ')}`,
  )
  expect(failures, failures.join('\n')).toEqual([])
  expect(left).toEqual({ devices: 0, addresses: 0, records: 0 })
  expect(served).toBeGreaterThan(0)
  await harm.end()
  await lab.must(removePairs(places))
  const own = (line: string) => !/agent/.test(line)
  expect(diffSnapshot(before, await snapshot(lab)).filter(own)).toEqual([])
})
