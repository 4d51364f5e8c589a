// Calls as the daemon of Multus makes them in its container of 100m CPU and 50 MiB, with 25 MiB of its own: each verb of both plugins gets
// through, warm and standalone, and the kernel kills nobody; through an agent, which is outside of the container, neither at 8 at once.
// 8 at once without an agent are more than the container holds: they wait for memory for minutes, or are killed.
// needs: veth, nft, cgroup
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { type AgentBed, makeAgentBed } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { makeSmallGroup, type SmallGroup } from '../../support/small-group.ts'
import { ASKING_CALLS, everyVerb, MULTUS } from '../../support/thick-multus.ts'
import { afterCalls, answered, startAgent } from '../../support/warm-agent.ts'

const AT_ONCE = 8
const READY = '/tmp/daemon-ready'
/** A daemon that has 25 MiB by the time that it makes the file. */
const DAEMON = ['perl', '-e', `vec(my $own, (25 << 20) - 1, 8) = 1; open my $file, '>', '${READY}'; sleep`]

let lab: Lab
let bed: AgentBed
let group: SmallGroup
let daemon: LabProcess

beforeAll(async () => {
  lab = await sharedLab()
  group = await makeSmallGroup(lab, { mebibytes: 50, percent: 10 })
  bed = await makeAgentBed(lab, AT_ONCE, { front: [...group.front, ...MULTUS] })
  daemon = await lab.spawn([...group.front, ...DAEMON], { timeoutMs: 0 })
  await lab.must(`${WAIT_UNTIL}
    wait_until [ -e ${READY} ]`)
})
afterAll(async () => {
  daemon?.kill('SIGKILL')
  await daemon?.wait()
  await lab.must(`rm ${READY}`)
  await bed?.end()
  await group?.end()
})

/** One call of vf-attach for each pod, at once. Returns exit codes. */
async function atOnce(verb: 'ADD' | 'DEL'): Promise<number[]> {
  return (await Promise.all(bed.pods.map((pod) => bed.call(verb, pod)))).map(({ code }) => code ?? -1)
}
const expectClean = async () => {
  await lab.must('rmdir /run/multus')
  await bed.expectClean()
}
const none = () => bed.pods.map(() => 0)

test('standalone: each verb', { timeout: 600_000 }, async () => {
  await everyVerb(bed)
  expect(await group.killed()).toBe(0)
})

test('warm: each verb, and 8 at once', { timeout: 600_000 }, async () => {
  const agent = await startAgent(lab)
  await everyVerb(bed)
  expect(await atOnce('ADD')).toEqual(none())
  expect(await atOnce('DEL')).toEqual(none())
  await expectClean()
  const status = await afterCalls(agent, ASKING_CALLS + 2 * AT_ONCE)
  expect({ answered: answered(status), refusals: status.refusals, fallbacks: status.fallbacks }).toEqual({
    ...{ answered: ASKING_CALLS + 2 * AT_ONCE, refusals: {}, fallbacks: {} },
  })
  expect(await group.killed()).toBe(0)
  await agent.kill()
})
