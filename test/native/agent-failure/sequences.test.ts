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
import { lab as sharedLab } from '../../support/lab.ts'
import { agentProgram, agentStatus, answered, startAgent } from '../../support/warm-agent.ts'

const places = vethPlaces(3, 3)
const seed = seedOf(process.env)
const count = Number(process.env.VF_SOAK_COUNT ?? 30)
let lab: Lab

beforeAll(async () => {
  lab = await sharedLab()
  await prepareGuest(lab)
})
afterAll(() => leaveGuest(lab))

const worker = '$(pgrep -x -P $(supervisor) -f "vf-agent worker" | head -1)'
const pause = (pid: string) => `pid=${pid}; kill -STOP $pid; sleep 1; kill -CONT $pid`

/** Harm to an agent that goes on afterwards. A pause of a second is shorter than all patience with locks. */
const harm = {
  'a worker is killed': `kill -KILL ${worker}`,
  'all workers are killed': 'kill -KILL $(pgrep -x -P $(supervisor) -f "vf-agent worker")',
  'a worker stands still': pause(worker),
  'the supervisor stands still': pause('$(supervisor)'),
} as const
/** Harm after which another agent is started. */
const end = {
  'the supervisor is killed': 'kill -KILL $(supervisor)',
  'the agent is stopped': 'kill -TERM $(supervisor)',
  'another agent takes over': 'true',
} as const
const all: Readonly<Record<string, string>> = { ...harm, ...end }
const START = `setsid ${agentProgram} </dev/null >/dev/null 2>&1 &`
const SUPERVISOR = `supervisor() { pgrep -x -o -f ".*vf-agent"; }`

test('random sequences with crashes leave nothing while agents come and go', {
  timeout: 1_800_000,
}, async () => {
  const before = await snapshot(lab)
  await lab.must(places.map((place) => vethKind.revive(place)).join('\n'))
  await startAgent(lab)
  const random = randomFrom(seed)
  let served = 0
  const happened: string[] = []
  const done: Promise<unknown>[] = []
  const hurt = async () => {
    const status = await agentStatus(lab).catch(() => undefined)
    if (status !== undefined) served += answered(status)
    const name = random.pick(Object.keys(all))
    happened.push(name)
    await lab.must(`${SUPERVISOR}\n${all[name]}\n${name in end ? START : ''}\ntrue`)
  }
  const onProgress = () => {
    done.push(hurt())
  }
  const { verbs, left, failures } = await runSequences(lab, vethKind, places, seed, count, onProgress, true)
  await Promise.all(done)
  const last = await agentStatus(lab).catch(() => undefined)
  served += last === undefined ? 0 : answered(last)
  console.log(
    `sequences of vf-attach with an agent, seed ${seed}: ${count}, verbs ${JSON.stringify(verbs)}, ${served} calls seen as served; ${happened.join(', ')}`,
  )
  expect(failures, failures.join('\n')).toEqual([])
  expect(left).toEqual({ devices: 0, addresses: 0, records: 0 })
  expect(served).toBeGreaterThan(0)
  await lab.must(`${SUPERVISOR}\nwhile pid=$(supervisor); do kill -KILL $pid; done; true`)
  await lab.must(removePairs(places))
  const own = (line: string) => !/agent/.test(line)
  expect(diffSnapshot(before, await snapshot(lab)).filter(own)).toEqual([])
})
