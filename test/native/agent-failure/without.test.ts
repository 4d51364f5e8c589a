// Nothing depends on the agent: absent, stopped, killed, hung, replaced, of another build, or with a socket that leads nowhere, each call of
// both plugins has its right answer and its effect once, and leaves nothing.
// needs: veth, nft
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WAIT_UNTIL } from '../../../hack/lab/bed/topology.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { socketPath } from '../../../src/agent/protocol.ts'
import { type AgentBed, makeAgentBed } from '../../support/agent-bed.ts'
import { lab as sharedLab } from '../../support/lab.ts'
import { afterCalls, answered, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const release = fileURLToPath(new URL('../../../dist/vf-agent', import.meta.url))

let lab: Lab
let bed: AgentBed
let agent: TestAgent | undefined

beforeAll(async () => {
  lab = await sharedLab()
  bed = await makeAgentBed(lab, 1)
})
afterEach(async () => {
  await agent?.kill()
  agent = undefined
  await lab.must(`rm -rf ${socketPath}`)
  try {
    await bed.expectClean()
  } finally {
    await bed.reset()
  }
})
afterAll(() => bed?.end())

/** All calls of a cycle: two ADDs, two CHECKs, two DELs. */
const CALLS = 6
const pod = () => bed.pods[0] ?? expect.fail('the bed has no pod')
const wait = (condition: string) =>
  lab.must(`${WAIT_UNTIL}
    reached() { ${condition}; }
    wait_until reached`)

test('with an agent all calls go through it', async () => {
  agent = await startAgent(lab)
  await bed.cycle(pod())
  const status = await afterCalls(agent, CALLS)
  expect({ answered: answered(status), refusals: status.refusals, fallbacks: status.fallbacks }).toEqual({
    ...{ answered: CALLS, refusals: {}, fallbacks: {} },
  })
})

test('an attachment that was made warm is checked and removed without an agent, and the other way round', async () => {
  agent = await startAgent(lab)
  const warm = await bed.add(pod())
  await agent.stop()
  agent = undefined
  await bed.check(pod(), warm)
  await bed.del(pod(), warm)
  const cold = await bed.add(pod())
  agent = await startAgent(lab)
  await bed.check(pod(), cold)
  await bed.del(pod(), cold)
  expect(answered(await afterCalls(agent, 4))).toBe(4)
})

describe('no agent answers', () => {
  test('because none was ever started', () => bed.cycle(pod()))

  test('because it was stopped', async () => {
    const stopped = await startAgent(lab)
    await stopped.stop()
    await bed.cycle(pod())
  })

  test('because it was killed and has left its socket behind', async () => {
    const killed = await startAgent(lab)
    await killed.kill()
    await lab.must(`[ -S ${socketPath} ]`)
    await bed.cycle(pod())
  })

  test('because its supervisor is hung', async () => {
    agent = await startAgent(lab)
    await agent.signal('STOP')
    await bed.cycle(pod())
    await agent.signal('CONT')
    expect(answered(await agent.status())).toBe(0)
  })

  test('because its workers are hung', async () => {
    agent = await startAgent(lab, { settings: { workers: 1, maxWorkers: 1 } })
    const workers = await agent.workers()
    await lab.must(`kill -STOP ${workers.join(' ')}`)
    const { code, stdout } = await bed.call('DEL', pod())
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    // The supervisor has ended them, so that the shim need not wait for its whole time.
    expect((await agent.status()).ends).toEqual({ 'it took no call': 1 })
    await lab.must('rm /etc/vf-flower/agent.json')
  })

  test('because a file lies where its socket was', async () => {
    await lab.must(`mkdir -p /run/vf-flower; echo >${socketPath}`)
    await bed.cycle(pod())
  })

  test('because its socket leads to a program that says nothing', async () => {
    const mute = await lab.spawn(['socat', '-u', `UNIX-LISTEN:${socketPath},type=5,fork`, 'OPEN:/dev/null'])
    await wait(`[ -S ${socketPath} ]`)
    await bed.cycle(pod())
    mute.kill('SIGKILL')
    await mute.wait()
  })

  test('because its socket leads to a program that talks nonsense', async () => {
    const liar = await lab.spawn(['socat', '-U', `UNIX-LISTEN:${socketPath},type=5,fork`, 'EXEC:/bin/date'])
    await wait(`[ -S ${socketPath} ]`)
    await bed.cycle(pod())
    liar.kill('SIGKILL')
    await liar.wait()
  })

  test('because the queue of its socket is full', async () => {
    // It listens with a queue of one, and takes nobody off it.
    const script = `use Socket; socket my $s, AF_UNIX, 5, 0 or die $!; bind $s, pack_sockaddr_un('${socketPath}') or die $!;
      listen $s, 0 or die $!; print "ready\\n"; close STDOUT;
      my @held; while (1) { socket my $c, AF_UNIX, 5 | 2048, 0 or die $!;
        last unless connect $c, pack_sockaddr_un('${socketPath}'); push @held, $c }
      open my $full, '>', '/run/queue-full'; sleep 600`
    await lab.must('mkdir -p /run/vf-flower')
    const full = await lab.spawn(['perl', '-e', script])
    await wait('[ -e /run/queue-full ]')
    await bed.cycle(pod())
    full.kill('SIGKILL')
    await full.wait()
    await lab.must('rm /run/queue-full')
  })
})

test('an agent of another build is not asked', async () => {
  agent = await startAgent(lab, { program: release })
  await bed.cycle(pod())
  expect(answered(await agent.status())).toBe(0)
})

test('an agent that is started anew takes over: the old one ends, and each call has an answer', async () => {
  const old = await startAgent(lab)
  const result = await bed.add(pod())
  agent = await startAgent(lab)
  await wait(`[ ! -d /proc/${old.pid} ] || grep -q '^State:.Z' /proc/${old.pid}/status`)
  await bed.check(pod(), result)
  await bed.del(pod(), result)
  expect(answered(await afterCalls(agent, 4))).toBe(4)
})
