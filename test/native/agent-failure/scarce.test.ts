// Nothing is left of a call whose answer can't be written, whose disk is full or whose agent has no descriptors left; and many calls at once
// have one answer and one effect each.
// needs: veth, nft
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Lab } from '../../../hack/lab/lab.ts'
import { type AgentBed, makeAgentBed, type WarmPod } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { afterCalls, answered, atRest, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const TOOLS = '/tmp/scarce'
/** Runs the program with a standard output that nobody reads, or that nobody has open. */
const OUTPUTS = {
  closed: ['/bin/sh', '-c', 'exec "$0" >&-'],
  'a pipe whose reader is gone': ['/bin/sh', '-c', `exec "$0" >${TOOLS}/pipe`],
  'a full disk': ['/bin/sh', '-c', 'exec "$0" >/dev/full'],
} as const
const PODS = 32

let lab: Lab
let bed: AgentBed
let agent: TestAgent
const pods = () => bed.pods as [WarmPod, WarmPod, ...WarmPod[]]

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, PODS)
  await lab.must(`mkdir -p ${TOOLS}`)
  agent = await startAgent(lab)
})
afterEach(async () => {
  try {
    await bed.expectClean()
  } finally {
    await bed.reset()
  }
})
afterAll(async () => {
  await agent?.kill()
  await bed?.end()
})

test.each(Object.entries(OUTPUTS))(
  'an ADD is taken back when its standard output is %s',
  async (name, words) => {
    const [pod] = pods()
    if (name.includes('pipe')) await lab.must(`rm -f ${TOOLS}/pipe; mkfifo ${TOOLS}/pipe; : <>${TOOLS}/pipe`)
    const reader = name.includes('pipe') ? await lab.spawn(['sh', '-c', `exec <${TOOLS}/pipe`]) : undefined
    // Calls of the test before may not be counted yet.
    const before = answered(await atRest(agent))
    const { code, stderr } = await bed.call('ADD', pod, 'vf-attach', { front: words })
    await reader?.wait()
    expect({ code, told: /stdout/.test(stderr) }).toEqual({ code: 1, told: true })
    expect(answered(await afterCalls(agent, before + 1))).toBe(before + 1)
  },
)

test('a full disk: an ADD fails with its reason, and leaves nothing; DELs go on', async () => {
  const [pod, other] = pods()
  const result = await bed.add(other)
  await lab.must(`cp -a /var/lib/cni /tmp/cni-kept
    mount -t tmpfs -o size=64k,mode=755 tmpfs /var/lib/cni; cp -a /tmp/cni-kept/. /var/lib/cni/
    dd if=/dev/zero of=/var/lib/cni/filler bs=4k 2>/dev/null; true`)
  try {
    const { code, stdout } = await bed.call('ADD', pod, 'vf-attach')
    expect({ code, has: /ENOSPC|no space/.test(stdout) }, stdout).toEqual({ code: 1, has: true })
    await bed.del(other, result)
  } finally {
    await lab.must('umount /var/lib/cni; rm -rf /var/lib/cni/* /tmp/cni-kept')
  }
})

test('an agent that may open few files sends calls away, and says why', async () => {
  await agent.kill()
  const [pod] = pods()
  const poor = await startAgent(lab, { before: ['prlimit', '--nofile=64:64'] })
  try {
    await bed.cycle(pod)
    // The last refusal is counted after its call.
    const status = await poor.until(({ refusals }) => Object.values(refusals).some((count) => count >= 6))
    const [[reason = '', count = 0] = []] = Object.entries(status.refusals)
    expect({ answered: answered(status), count }).toEqual({ answered: 0, count: 6 })
    expect(reason).toContain('64 files')
  } finally {
    await poor.kill()
    agent = await startAgent(lab)
  }
  await bed.cycle(pod)
  expect(answered(await afterCalls(agent, 6))).toBe(6)
})

test('100 calls at once: each has its answer, and its effect once', { timeout: 120_000 }, async () => {
  const own = bed.pods
  const adds = await Promise.all(own.map((pod) => bed.call('ADD', pod)))
  expect(
    adds.map(({ code, stdout }) => ({ code, ips: (JSON.parse(stdout) as { ips?: unknown[] }).ips?.length })),
  ).toEqual(own.map(() => ({ code: 0, ips: 1 })))
  const checks = await Promise.all(
    own.map((pod, index) =>
      bed.call('CHECK', pod, 'vf-attach', { prevResult: JSON.parse(adds[index]?.stdout ?? '') }),
    ),
  )
  expect(checks.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
    own.map(() => ({ code: 0, stdout: '' })),
  )
  // Each twice: a runtime repeats DEL.
  const dels = await Promise.all([...own, ...own].map((pod) => bed.call('DEL', pod)))
  expect(dels.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
    [...own, ...own].map(() => ({ code: 0, stdout: '' })),
  )
})
