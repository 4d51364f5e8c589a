// The life of an agent beside calls: its start, its end, its successor, its settings, and ends that nobody wanted. Each call has its effect
// and one answer, with an agent or without.
// needs: veth, bridge
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pluginPath } from '../../../hack/lab/bed/plugins.ts'
import { BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import { servedBy, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const [pod, other] = ['pod-one', 'pod-two'] as const
const SOCKET = '/run/vf-flower/agent.sock'
const STATE_SOCKET = '/run/vf-flower/agent-status.sock'
const slow = { timeout: 30_000, interval: 20 }

let bed: NativeBed
let running: TestAgent[] = []
beforeAll(async () => {
  bed = await makeNativeBed(2, [pod, other])
})
afterAll(() => bed?.end())
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -f ${BED_FOLDER}/hold* ${BED_FOLDER}/asked* /etc/vf-flower/agent.json`)
  for (const { process } of running) process.kill('SIGKILL')
  await Promise.all(running.map(({ process }) => process.wait()))
  running = []
  await bed.lab.must('pkill -KILL vf-flower; rm -rf /run/vf-flower; true')
  if (task.result?.state === 'fail') await bed.rebuild()
})

async function start(): Promise<TestAgent> {
  const agent = await startAgent(bed.lab)
  running.push(agent)
  return agent
}
const on = (index = 0, type = 'host-local') => onNic(bed.nic(index), { ipam: localIpam(type) })
const status = () => bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' })
const isThere = async (path: string) => (await bed.lab.exec(['test', '-e', path])).code === 0
const isAlive = (pid: number) => isThere(`/proc/${pid}`)

/** An ADD that waits for its IPAM plugin; `finish` lets it go and returns its addresses. */
async function hungAdd(): Promise<{ readonly finish: () => Promise<unknown> }> {
  await bed.lab.must(`touch ${BED_FOLDER}/hold-add`)
  const result = bed.add(on(0, FLAKY), pod)
  await expect.poll(() => isThere(`${BED_FOLDER}/asked-add`), slow).toBe(true)
  return {
    finish: async () => {
      await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
      return (await result).ips
    },
  }
}

/** Addresses that host-local has given out. */
const leases = async () =>
  (await bed.lab.must('ls /var/lib/cni/networks/lab-net 2>/dev/null || true')).match(/^10\..*/gm) ?? []

test('SIGTERM: the socket goes at once, the call ends as ever, then the agent; later calls run by themselves', async () => {
  const agent = await start()
  const { finish } = await hungAdd()
  await bed.lab.must(`kill -TERM ${agent.pid}`)
  await expect.poll(() => isThere(SOCKET), slow).toBe(false)
  expect((await status()).code).toBe(0)
  expect(await isAlive(agent.pid)).toBe(true)
  expect(await finish()).toHaveLength(1)
  expect((await agent.process.wait()).code).toBe(0)
  expect(agent.log()).toContain('got SIGTERM')
  await bed.del(on(0, FLAKY), pod)
  expect(await leases()).toEqual([])
  expect(await isThere(STATE_SOCKET)).toBe(false)
})

test('a new agent takes over: it serves at once, the old one finishes its call and ends', async () => {
  const old = await start()
  const { finish } = await hungAdd()
  const next = await start()
  expect((await status()).code).toBe(0)
  await servedBy(next, { STATUS: 1 })
  await expect.poll(() => old.log(), slow).toContain('another agent listens')
  expect(await isAlive(old.pid)).toBe(true)
  expect(await finish()).toHaveLength(1)
  expect((await old.process.wait()).code).toBe(0)
  await bed.del(on(0, FLAKY), pod)
  await servedBy(next, { STATUS: 1, DEL: 1 })
  expect(await leases()).toEqual([])
})

test('SIGHUP: settings are read again, workers are replaced after their calls; a mistake is named and changes nothing', async () => {
  const agent = await start()
  const before = (await agent.status()).workers.map(({ pid }) => pid)
  await bed.lab.writeFile('/etc/vf-flower/agent.json', '{"workers":3}', 0o644)
  await bed.lab.must(`kill -HUP ${agent.pid}`)
  const { workers } = await agent.until(
    (now) =>
      now.workers.filter(({ state }) => state === 'free').length === 3 &&
      now.workers.every(({ pid }) => !before.includes(pid)),
  )
  expect(workers).toHaveLength(3)
  await bed.lab.writeFile('/etc/vf-flower/agent.json', '{"wrokers":1}', 0o644)
  await bed.lab.must(`kill -HUP ${agent.pid}`)
  const { settingsProblem } = await agent.until((now) => now.settingsProblem !== undefined)
  expect(settingsProblem).toContain('unknown key "wrokers"')
  await agent.until((now) => now.workers.filter(({ state }) => state === 'free').length === 3)
  expect((await status()).code).toBe(0)
  await servedBy(agent, { STATUS: 1 })
})

test('settings that cannot be used keep the agent from starting, with exit code 3', async () => {
  await bed.lab.writeFile('/etc/vf-flower/agent.json', '{"workers":0}', 0o644)
  const { code, stderr } = await bed.lab.exec([`${pluginPath[0]}/vf-agent`])
  expect(code).toBe(3)
  expect(stderr).toContain('workers is 0; must be an integer from 1 to 64')
})

test('a TCP address serves metrics if the settings name one', async () => {
  await bed.lab.writeFile('/etc/vf-flower/agent.json', '{"metrics":"127.0.0.1:9099"}', 0o644)
  await start()
  expect(await bed.lab.must('curl -s http://127.0.0.1:9099/metrics')).toContain('vf_flower_agent_workers')
})

test('systemd is told what happens, and that the agent lives', async () => {
  const [told, path] = ['/run/told-systemd', '/run/systemd-notify']
  const systemd = await bed.lab.spawn(['socat', '-u', `UNIX-RECV:${path}`, `OPEN:${told},creat,append`])
  await expect.poll(() => isThere(path), slow).toBe(true)
  const variables = [`NOTIFY_SOCKET=${path}`, 'WATCHDOG_USEC=200000']
  const agent = await startAgent(bed.lab, { before: ['env', ...variables] })
  running.push(agent)
  const text = () => bed.lab.must(`cat ${told}`)
  await expect.poll(text, slow).toMatch(/READY=1\nSTATUS=serves calls/)
  await expect.poll(text, slow).toMatch(/(WATCHDOG=1.*){3}/s)
  await bed.lab.must(`kill -HUP ${agent.pid}`)
  await expect.poll(text, slow).toMatch(/RELOADING=1\nMONOTONIC_USEC=\d+.*READY=1/s)
  expect(await agent.stop()).toBe(0)
  expect(await text()).toMatch(/STOPPING=1\nSTATUS=got SIGTERM/)
  systemd.kill('SIGKILL')
  await systemd.wait()
  // Plugins and IPAM plugins are not to speak with systemd.
  const next = await start()
  const [worker] = (await next.status()).workers
  expect(await bed.lab.must(`tr '\\0' '\\n' </proc/${worker?.pid}/environ`)).toBe('')
})

test('nothing of workers that have ended stays open in the supervisor', async () => {
  const agent = await start()
  const count = async () => Number(await bed.lab.must(`ls /proc/${agent.pid}/fd | wc -l`))
  const before = await count()
  for (let round = 0; round < 4; round++) {
    const pids = (await agent.status()).workers.map(({ pid }) => pid)
    await bed.lab.must(`kill -HUP ${agent.pid}`)
    await agent.until(
      ({ workers }) =>
        workers.every(({ pid, state }) => state === 'free' && !pids.includes(pid)) && workers.length === 2,
    )
  }
  expect(await count()).toBe(before)
  expect(await bed.lab.must(`cat /proc/${agent.pid}/task/${agent.pid}/children | wc -w`)).toBe('2\n')
})

describe('an end that nobody wanted', () => {
  test('of a worker in its call: the shim goes on by itself, with one effect and one answer', async () => {
    const agent = await start()
    const { finish } = await hungAdd()
    const { workers } = await agent.until((now) => now.workers.some(({ waits }) => waits === 'ipam'))
    const worker = workers.find(({ waits }) => waits === 'ipam')?.pid ?? 0
    await bed.lab.must(`kill -KILL ${worker}`)
    await agent.until((now) => now.ends.crashed === 1)
    expect(await finish()).toHaveLength(1)
    expect(await leases()).toHaveLength(1)
    await bed.del(on(0, FLAKY), pod)
    expect(await leases()).toEqual([])
    await agent.until((now) => now.workers.filter(({ state }) => state === 'free').length === 2)
    expect(agent.log()).toContain(`worker ${worker} was ended by signal 9 in ADD of vf-attach`)
  })

  test('of worker after worker: pauses between starts, and calls run by themselves meanwhile', async () => {
    const agent = await start()
    for (let crashes = 1; crashes <= 5; crashes++) {
      const { workers } = await agent.until(
        (now) => now.workers.length > 0 || (now.ends.crashed ?? 0) >= crashes + 1,
      )
      await bed.lab.must(`kill -KILL ${workers.map(({ pid }) => pid).join(' ')} 2>/dev/null; true`)
      await agent.until((now) => (now.ends.crashed ?? 0) >= crashes)
    }
    await agent.until((now) => now.workers.length === 0)
    expect((await status()).code).toBe(0)
    const { fallbacks } = await agent.status()
    expect(fallbacks['workers do not start']).toBeGreaterThanOrEqual(1)
    expect(agent.log()).toContain('a call was not served: workers do not start')
  })

  test('of the supervisor: the call in flight is answered, its workers end, and the socket left behind is replaced', async () => {
    const old = await start()
    const { finish } = await hungAdd()
    const workers = (await old.status()).workers.map(({ pid }) => pid)
    await bed.lab.must(`kill -KILL ${old.pid}`)
    await expect.poll(() => isAlive(old.pid), slow).toBe(false)
    expect(await isThere(SOCKET)).toBe(true)
    expect((await status()).code).toBe(0)
    expect(await finish()).toHaveLength(1)
    await expect.poll(async () => (await Promise.all(workers.map(isAlive))).includes(true), slow).toBe(false)
    const next = await start()
    await bed.del(on(0, FLAKY), pod)
    await servedBy(next, { DEL: 1 })
    expect(await leases()).toEqual([])
  })

  test('of its standing still: a stopped agent answers nobody', async () => {
    const agent = await start()
    await bed.lab.must(`kill -STOP ${agent.pid}`)
    expect((await status()).code).toBe(0)
    await bed.lab.must(`kill -CONT ${agent.pid}`)
    await agent.until(({ fallbacks }) => fallbacks['the shim was gone'] === 1)
  })

  test.each([
    ['the socket of calls', SOCKET, [SOCKET]],
    ['the socket of its state', STATE_SOCKET, [STATE_SOCKET]],
    ['the folder of both', '/run/vf-flower', [SOCKET, STATE_SOCKET]],
  ])('of %s: the agent listens there anew, says so once, and goes on', async (_, removed, sockets) => {
    const agent = await start()
    await bed.lab.must(`rm -r ${removed}`)
    for (const socket of sockets) await expect.poll(() => isThere(socket), slow).toBe(true)
    expect((await status()).code).toBe(0)
    await servedBy(agent, { STATUS: 1 })
    const lines = (await agent.log()).match(/\S+ was removed: the agent listens there anew/g) ?? []
    expect(lines.sort()).toEqual(
      sockets.map((path) => `${path} was removed: the agent listens there anew`).sort(),
    )
  })

  test('of its folder, when it can not be made anew: said once, tried again, and both sockets come back', async () => {
    const agent = await start()
    await bed.lab.must('rm -r /run/vf-flower; mkdir -m 777 /run/vf-flower')
    await expect.poll(() => agent.log(), slow).toMatch(/agent-status.sock any more: Cannot listen in/)
    await expect.poll(() => agent.log(), slow).toMatch(/agent.sock any more: Cannot listen in/)
    expect((await status()).code).toBe(0)
    await bed.lab.must('rmdir /run/vf-flower; touch /run/vf-flower')
    await expect.poll(() => agent.log(), slow).toMatch(/agent-status.sock any more: ENOTDIR/)
    await expect.poll(() => agent.log(), slow).toMatch(/agent.sock any more: ENOTDIR/)
    await bed.lab.must('rm /run/vf-flower')
    for (const socket of [SOCKET, STATE_SOCKET]) await expect.poll(() => isThere(socket), slow).toBe(true)
    expect((await agent.log()).match(/any more/g)).toHaveLength(4)
    expect((await status()).code).toBe(0)
    await servedBy(agent, { STATUS: 1 })
  })
})
