// The distribution's DHCP client without a server on the wire: 32 ADDs wait for it through an agent, and DELs of others are answered meanwhile,
// by the program itself while all workers wait, and by workers as soon as the settings allow more of them. Then each ADD ends with
// an error object and leaves nothing.
// needs: veth, nft
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { Lab, LabProcess } from '../../../hack/lab/lab.ts'
import { settingsFile } from '../../../src/agent/settings.ts'
import { type AgentBed, makeAgentBed, type WarmPod } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { startAgent, type TestAgent } from '../../support/warm-agent.ts'

const WAITING = 32
/** Workers at most: the default, fewer than would wait. */
const WORKERS = 16
/** Pods that go while all workers wait, and pods that go when there may be more workers. */
const OTHERS = 8
const LOG = '/tmp/dhcp.log'
/** It asks four times for 5 s, with pauses of 1 to 3 s: long enough for everything that happens here meanwhile. */
const DAEMON = `exec /usr/lib/cni/dhcp daemon -timeout 5s -resendmax 1s >${LOG} 2>&1`

let lab: Lab
let bed: AgentBed
let agent: TestAgent
let daemon: LabProcess

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, WAITING + 2 * OTHERS)
  agent = await startAgent(lab, { settings: { maxWorkers: WORKERS } })
  daemon = await lab.spawn(['sh', '-c', DAEMON], { timeoutMs: 0 })
  await lab.must(`${WAIT_UNTIL}
    wait_until [ -S /run/cni/dhcp.sock ]`)
})
afterAll(async () => {
  await agent?.kill()
  await endDaemon()
  await bed?.end()
})

async function endDaemon(): Promise<void> {
  daemon?.kill('SIGKILL')
  await daemon?.wait()
  await lab?.must(`rm -rf /run/cni ${LOG}`)
}

/** DELs that succeed, all at once. */
async function del(pods: readonly WarmPod[]): Promise<void> {
  const ended = await Promise.all(pods.map((pod) => bed.call('DEL', pod)))
  expect(ended.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
    pods.map(() => ({ code: 0, stdout: '' })),
  )
}

/** Number of DELs that workers have answered. */
async function warm(): Promise<number> {
  const { verbs } = await agent.status()
  return verbs.find(({ verb }) => verb === 'DEL')?.outcomes.answered ?? 0
}

test('32 ADDs wait for a server that is not there: DELs of others do not, and nothing is left', {
  timeout: 180_000,
}, async () => {
  const [waiting, others] = [bed.pods.slice(0, WAITING), bed.pods.slice(WAITING)]
  const added = await Promise.all(others.map((pod) => bed.call('ADD', pod)))
  expect(added.map(({ code }) => code)).toEqual(others.map(() => 0))

  const dhcp = { config: { ipam: { type: 'dhcp' } } }
  let ended = 0
  const adds = waiting.map(async (pod) => {
    const result = await (await bed.start('ADD', pod, 'vf-attach', dhcp)).wait()
    ended++
    return result
  })
  await lab.must(`${WAIT_UNTIL}
    asking() { [ "$(grep -c 'acquiring lease' ${LOG})" = ${WAITING} ]; }
    wait_until asking`)
  await del(others.slice(0, OTHERS))
  expect(ended).toBe(0)
  const { fallbacks } = await agent.status()
  expect(fallbacks['no worker is free']).toBeGreaterThanOrEqual(WAITING - WORKERS)

  await lab.writeFile(settingsFile, JSON.stringify({ maxWorkers: WORKERS + 4 }))
  await agent.signal('HUP')
  await expect.poll(() => agent.log()).toContain('SIGHUP: the settings were read')
  // The first one has another worker started.
  const [first = expect.fail('no pod'), ...later] = others.slice(OTHERS)
  await del([first])
  const before = await warm()
  for (const pod of later) await del([pod])
  expect(ended).toBe(0)
  await expect.poll(warm).toBeGreaterThanOrEqual(before + later.length)

  const told = (await Promise.all(adds)).map(({ code, stdout }) => ({
    code,
    msg: (JSON.parse(stdout) as { msg: string }).msg,
  }))
  expect(told).toEqual(waiting.map(() => ({ code: 1, msg: expect.stringContaining('no more tries') })))
  await endDaemon()
  await bed.expectClean()
})
