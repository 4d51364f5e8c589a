// A warm agent serves the calls of real shims: every verb of both plugins, many at once, and while IPAM hangs. Each call has its effect and
// one answer, and `vfctl agent` says who has served it.
// needs: veth, bridge, nft
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { attachment, json, pluginPath, silently, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import type { AgentStatus } from '../../../src/agent/status.ts'
import { BED_FOLDER, FLAKY, localIpam } from '../../support/attach-calls.ts'
import { makeNativeBed, type NativeBed, onNic } from '../../support/attach-native-bed.ts'
import { servedBy, startAgent, type TestAgent } from '../../support/warm-agent.ts'

const pods = Array.from({ length: 8 }, (_, index) => `pod-${index}`)
const [pod = ''] = pods

let bed: NativeBed
let agent: TestAgent
beforeAll(async () => {
  bed = await makeNativeBed(pods.length, pods)
})
afterAll(() => bed?.end())
beforeEach(async () => {
  agent = await startAgent(bed.lab)
})
afterEach(async ({ task }) => {
  await bed.lab.must(`rm -f ${BED_FOLDER}/hold* ${BED_FOLDER}/asked* /etc/vf-flower/agent.json`)
  agent.process.kill('SIGKILL')
  await agent.process.wait()
  await bed.lab.must('pkill -KILL vf-flower; rm -rf /run/vf-flower; true')
  if (task.result?.state === 'fail') await bed.rebuild()
})

const on = (index = 0, more: Record<string, unknown> = {}) =>
  onNic(bed.nic(index), { ipam: localIpam(), ...more })
const links = async (name: string) =>
  (await json(bed.lab, `ip -n ${name} -j link`)).map(({ ifname }) => ifname).filter((one) => one !== 'lo')

describe('each verb', () => {
  test('of vf-attach is answered by a worker, and has its effect', async () => {
    const result = await bed.add(on(), pod)
    expect(await links(pod)).toEqual(['net1'])
    expect(await bed.lab.must(`ip -n ${pod} -br address show dev net1`)).toContain(
      result.ips?.[0]?.address ?? 'an address',
    )
    await silently(bed.call('CHECK', on(), pod, { config: { prevResult: result } }))
    await silently(bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' }))
    await bed.del(on(), pod)
    expect(await links(pod)).toEqual([])
    await silently(bed.call('GC', onNic(bed.nic()), pod, { cniVersion: '1.1.0' }))
    await servedBy(agent, { ADD: 1, CHECK: 1, STATUS: 1, DEL: 1, GC: 1 })
    expect(await agent.status()).toMatchObject({ refusals: {}, fallbacks: {}, ends: {} })
  })

  test('of vf-offload is answered by a worker, and has its effect', async () => {
    const runtime = testRuntime(bed.lab)
    const list = {
      ...{ cniVersion: '1.0.0', name: 'lab-net' },
      plugins: [on(), { type: 'vf-offload', capabilities: { portMappings: true } }],
    }
    const one = attachment(`/run/netns/${pod}`, {
      containerID: pod,
      capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    })
    const result = await runtime.add(list, one)
    expect(await bed.lab.must('nft list table inet vf-flower')).toContain('8080')
    await runtime.check(list, one, result)
    await runtime.del(list, one, result)
    expect(await bed.lab.must('nft list ruleset')).not.toContain('8080')
    await servedBy(agent, { ADD: 2, CHECK: 2, DEL: 2 })
  })

  test('that fails prints its error object once, with its exit code', async () => {
    const error = await bed.refused('ADD', onNic({ netdev: 'missing' }), pod)
    expect(error.msg).toContain('missing')
    const [add] = (await agent.status()).verbs
    expect(add).toMatchObject({ verb: 'ADD', outcomes: { answered: 1 }, failed: 1 })
  })

  test('leaves nothing open in its worker', async () => {
    const workers = async () =>
      (await agent.status()).workers.map(({ pid }) => pid).sort((one, other) => one - other)
    const before = await workers()
    for (let round = 0; round < 4; round++) {
      await bed.add(on(), pod)
      await bed.del(on(), pod)
    }
    expect(await workers()).toEqual(before)
    await servedBy(agent, { ADD: 4, DEL: 4 })
  })
})

describe('many calls', () => {
  test('at once are all answered, each once', async () => {
    const count = 100
    const calls = Array.from({ length: count }, () =>
      bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' }),
    )
    const adds = pods.map((name, index) => bed.add(on(index), name))
    const results = await Promise.all(calls)
    expect(results.map(({ code, stdout, stderr }) => ({ code, stdout, stderr }))).toEqual(
      results.map(() => ({ code: 0, stdout: '', stderr: '' })),
    )
    const addresses = (await Promise.all(adds)).map(({ ips }) => ips?.[0]?.address)
    expect(new Set(addresses).size).toBe(pods.length)
    await Promise.all(pods.map((name, index) => bed.del(on(index), name)))
    expect(await Promise.all(pods.map(links))).toEqual(pods.map(() => []))
    const { verbs } = await agent.status()
    expect(verbs.map(({ failed }) => failed)).toEqual(verbs.map(() => 0))
  })

  test('while IPAM hangs: further workers come, and DELs of others go on', async () => {
    await Promise.all([6, 7].map((index) => bed.add(on(index), pods[index] ?? '')))
    await bed.lab.must(`touch ${BED_FOLDER}/hold-add`)
    const waiting = [0, 1, 2, 3, 4]
    const hung = waiting.map((index) => bed.add(on(index, { ipam: localIpam(FLAKY) }), pods[index] ?? ''))
    const status = await agent.until(
      ({ workers }) => workers.filter(({ waits }) => waits === 'ipam').length === waiting.length,
    )
    expect(status.workers.length).toBeGreaterThanOrEqual(waiting.length)
    expect(status.workers.map(({ call }) => call)).toContain('ADD of vf-attach')
    for (const index of [6, 7]) await bed.del(on(index), pods[index] ?? '')
    await servedBy(agent, { ADD: 2, DEL: 2 })
    await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
    await Promise.all(hung)
    for (const index of waiting) await bed.del(on(index, { ipam: localIpam(FLAKY) }), pods[index] ?? '')
    expect(await agent.status()).toMatchObject({ fallbacks: {}, refusals: {} })
  })
})

describe('a full agent', () => {
  test('sends calls away when all workers hang, and those run by themselves', async () => {
    await bed.lab.writeFile('/etc/vf-flower/agent.json', '{"workers":1,"maxWorkers":2}', 0o644)
    await bed.lab.must(`kill -HUP ${agent.pid}; touch ${BED_FOLDER}/hold-add`)
    await agent.until(({ workers }) => workers.length === 1 && workers[0]?.state === 'free')
    const hung = [0, 1].map((index) => bed.add(on(index, { ipam: localIpam(FLAKY) }), pods[index] ?? ''))
    await agent.until(({ workers }) => workers.filter(({ waits }) => waits === 'ipam').length === 2)
    const [other = ''] = pods.slice(2)
    const { ips } = await bed.add(on(2), other)
    expect(ips).toHaveLength(1)
    await bed.del(on(2), other)
    expect((await agent.status()).fallbacks).toEqual({ 'no worker is free': 2 })
    expect(agent.log()).toContain('a call was not served: no worker is free')
    await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
    await Promise.all(hung)
    for (const index of [0, 1]) await bed.del(on(index, { ipam: localIpam(FLAKY) }), pods[index] ?? '')
    expect(await Promise.all(pods.map(links))).toEqual(pods.map(() => []))
  })

  test('that may open no further file sends shims away at once, and serves again afterwards', async () => {
    const open = await bed.lab.must(`ls /proc/${agent.pid}/fd | wc -l`)
    await bed.lab.must(`prlimit --pid ${agent.pid} --nofile=${Number(open) + 1}:`)
    await Promise.all(
      Array.from({ length: 10 }, () =>
        silently(bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' })),
      ),
    )
    await bed.lab.must(`prlimit --pid ${agent.pid} --nofile=1024:`)
    const served = (await agent.status()).verbs.find(({ verb }) => verb === 'STATUS')?.outcomes.answered ?? 0
    await silently(bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' }))
    await agent.until(
      ({ verbs }) => verbs.find(({ verb }) => verb === 'STATUS')?.outcomes.answered === served + 1,
    )
  })
})

test('an ADD whose shim is killed while IPAM hangs ends its worker, and its DEL waits for IPAM alone', async () => {
  await bed.lab.must(`touch ${BED_FOLDER}/hold-add`)
  const add = bed.call('ADD', on(0, { ipam: localIpam(FLAKY) }), pod)
  await agent.until(({ workers }) => workers.some(({ waits }) => waits === 'ipam'))
  await bed.lab.must('pkill -KILL -x vf-attach')
  expect((await add).code).not.toBe(0)
  await agent.until(({ verbs }) => verbs.some(({ outcomes }) => outcomes.abandoned === 1))
  await agent.until(({ ends, workers }) => ends.left === 1 && workers.every(({ waits }) => waits !== 'ipam'))
  const del = bed.del(on(0, { ipam: localIpam(FLAKY) }), pod)
  await bed.lab.must(`rm ${BED_FOLDER}/hold-add`)
  await del
  expect(await links(pod)).toEqual([])
  await servedBy(agent, { ADD: 0, DEL: 1 })
})

test('metrics and the state are served, to root alone', async () => {
  await bed.call('STATUS', onNic(bed.nic()), pod, { cniVersion: '1.1.0' })
  const get = (path: string) =>
    bed.lab.must(
      `curl -s --unix-socket /run/vf-flower/agent-status.sock -w '%{http_code}' http://agent${path}`,
    )
  const metrics = await get('/metrics')
  expect(metrics).toContain(
    'vf_flower_agent_calls_total{plugin="vf-attach",verb="STATUS",outcome="answered"} 1',
  )
  expect(metrics).toMatch(/vf_flower_agent_call_duration_seconds_count\{verb="STATUS"\} 1\n/)
  expect(await get('/healthz')).toBe('ok\n200')
  expect(await get('/other')).toMatch(/404$/)
  const modes = await bed.lab.must(
    'cd /run/vf-flower; stat -c "%a %U" . agent.sock agent-status.sock; ls -A | grep tmp || true',
  )
  expect(modes).toBe('700 root\n600 root\n600 root\n')
  const [verbs] = (JSON.parse(await bed.lab.must(`${pluginPath[0]}/vfctl agent --json`)) as AgentStatus).verbs
  expect(verbs).toMatchObject({ verb: 'STATUS', outcomes: { answered: 1 } })
  const text = await bed.lab.must(`${pluginPath[0]}/vfctl agent`)
  expect(text).toMatch(/serving/)
  expect(text).toMatch(/^STATUS +1 +0 /m)
})
