// An ADD whose caller is killed never outlives the DEL that follows: at each step of it a worker stands still, the shim is killed, a DEL is
// sent at once, and then the worker goes on. The DEL succeeds, and nothing is left. `npm test` has some of the steps; VF_TEST_ALL=1
// has all.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { seedOf } from '../../soak/seed.ts'
import { type AgentBed, makeAgentBed, type PluginName, type WarmPod } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { agentStatus, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const all = process.env.VF_TEST_ALL === '1'
/** Steps that `npm test` strikes, of each plugin. */
const SOME = 4
const TRACE = '/tmp/ghost-trace'

let lab: Lab
let bed: AgentBed
let agent: TestAgent
let pod: WarmPod

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, 1)
  agent = await startAgent(lab)
  pod = bed.pods[0] ?? expect.fail('the bed has no pod')
})
afterAll(async () => {
  await agent?.kill()
  await bed?.end()
})

const wait = (condition: string) =>
  lab.must(`${WAIT_UNTIL}
    reached() { ${condition}; }
    wait_until reached`)

/** The steps that an ADD passes, each with `before` or `after`. */
async function stepsOf(plugin: PluginName, more: Record<string, unknown>): Promise<string[]> {
  await lab.must(`rm -f ${TRACE}`)
  const ended = await bed.call('ADD', pod, plugin, { env: { VF_FLOWER_FAULT_TRACE: TRACE }, ...more })
  expect(ended.code, ended.stdout).toBe(0)
  const steps = (await lab.must(`cat ${TRACE}`)).trim().split('\n')
  await bed.call('DEL', pod, plugin, more)
  return steps
}

/** All of them, or some in equal distances, from another one on in each run with another seed. */
function chosen(steps: readonly string[]): string[] {
  if (all) return [...steps]
  const stride = Math.ceil(steps.length / SOME)
  const first = seedOf(process.env) % stride
  return steps.filter((_, index) => index % stride === first)
}

async function strike(plugin: PluginName, step: string, more: Record<string, unknown>): Promise<void> {
  await lab.must(`rm -f ${TRACE}`)
  const env = { VF_FLOWER_FAULT: `${step}:SIGSTOP`, VF_FLOWER_FAULT_TRACE: TRACE }
  const before = (await agentStatus(lab)).verbs.find(({ verb }) => verb === 'ADD')?.outcomes.abandoned ?? 0
  const add = await bed.start('ADD', pod, plugin, { env, ...more })
  await wait(`grep -qx ${step} ${TRACE}`)
  const stopped = `$(grep -l '^State:.T' $(printf '/proc/%s/status ' ${(await agent.workers()).join(' ')}) | cut -d/ -f3)`
  await wait(`[ -n "${stopped}" ]`)
  add.kill('SIGKILL')
  await add.wait()
  const del = await bed.start('DEL', pod, plugin, more)
  // It waits for the attachment's lock, in whatever way it runs.
  await expect
    .poll(async () => (await agentStatus(lab)).workers.some(({ waits }) => waits === 'lock'), {
      timeout: 20_000,
      interval: 20,
    })
    .toBe(true)
  await lab.must(`kill -CONT ${stopped}`)
  const { code, stdout } = await del.wait()
  expect({ step, code, stdout }).toEqual({ step, code: 0, stdout: '' })
  await expect
    .poll(
      async () => (await agentStatus(lab)).verbs.find(({ verb }) => verb === 'ADD')?.outcomes.abandoned ?? 0,
      {
        timeout: 20_000,
        interval: 20,
      },
    )
    .toBe(before + 1)
}

test('an ADD of vf-attach leaves nothing after its DEL, wherever its shim is killed', {
  timeout: 600_000,
}, async () => {
  const steps = await stepsOf('vf-attach', {})
  expect(steps.length).toBeGreaterThanOrEqual(10)
  for (const step of chosen(steps)) {
    await strike('vf-attach', step, {})
    await bed.expectClean()
  }
})

test('an ADD of vf-offload leaves nothing after its DEL, wherever its shim is killed', {
  timeout: 600_000,
}, async () => {
  const added = await bed.call('ADD', pod, 'vf-attach')
  const more = { prevResult: JSON.parse(added.stdout) as Record<string, unknown> }
  // The first mapping of a node makes tables that stay.
  const steps = await stepsOf('vf-offload', more)
  expect(steps.length).toBeGreaterThanOrEqual(4)
  for (const step of chosen(steps)) {
    await strike('vf-offload', step, more)
    await bed.expectUnmapped(pod)
  }
  await bed.del(pod)
  await bed.expectClean()
})
