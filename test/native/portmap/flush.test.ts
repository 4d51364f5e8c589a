// Somebody flushes the rules of the node (a firewall that is reloaded) between the calls and at every step of one: no port gets
// a second owner, what others had comes back, with whom to masquerade and the guard of 127/8, and CHECK tells what is missing.
// With pods on a bridge, so that it needs no hardware.
// needs: veth, bridge, nft
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  attachToBridge,
  bridgeList,
  chained,
  offload,
  PODS,
  type PodName,
  podOf,
  tryOffload,
  warmBridge,
} from '../../../hack/lab/bed/bridge-bed.ts'
import { errorOf, testRuntime } from '../../../hack/lab/bed/plugins.ts'
import { diffSnapshot, type Snapshot, snapshot } from '../../../hack/lab/bed/snapshot.ts'
import { deletePod, HOST, newPod } from '../../../hack/lab/bed/topology.ts'
import type { CniResult, Runtime } from '../../../hack/lab/cni-runtime.ts'
import type { ExecResult, Lab } from '../../../hack/lab/lab.ts'
import { lab as sharedLab } from '../../support/lab.ts'

const names = Object.keys(PODS) as PodName[]
const localhost = { localhost: true }
const trace = '/run/flush-trace'
const broken = '/var/lib/cni/vf-flower/offload/lab-net broken@eth0.json'
let lab: Lab
let runtime: Runtime
let results: Record<PodName, CniResult>
let before: Snapshot

beforeAll(async () => {
  lab = await sharedLab()
  runtime = testRuntime(lab)
  await lab.must(`ip link add nic0 type veth peer name far1
    ip address add ${HOST.v4}/24 dev nic0; ip link set nic0 up; ip link set far1 up`)
  await warmBridge(lab, runtime)
  const made: [PodName, CniResult][] = []
  for (const pod of names) {
    await newPod(lab, pod)
    made.push([pod, await attachToBridge(lab, runtime, pod)])
  }
  results = Object.fromEntries(made) as Record<PodName, CniResult>
  before = await snapshot(lab)
})
afterEach(async () => {
  for (const pod of names) await del(pod)
  await lab.must(`rm -rf ${trace} /run/other-records '${broken}'`)
  expect(diffSnapshot(before, await snapshot(lab))).toEqual([])
})
afterAll(async () => {
  for (const pod of names) {
    await runtime.del(bridgeList(pod), podOf(pod))
    await deletePod(lab, pod)
  }
  await lab.must('ip link del nic0; ip link del cni0')
})

const onPort = (hostPort: number) => [{ hostPort, containerPort: 80 }]
const flush = () => lab.must('nft flush ruleset')
const table = () => lab.must('nft list table inet vf-flower')
/** vf-offload alone, with a fault or a trace in its environment. */
const call = (verb: string, pod: PodName, port: number, env: Record<string, string> = {}, config = {}) =>
  runtime.call(verb, bridgeList(pod), chained(config), podOf(pod, onPort(port)), {
    ...{ prevResult: results[pod], env },
  })
const add = (pod: PodName, port: number, config: Record<string, unknown> = {}) =>
  offload(runtime, 'ADD', pod, { config, ports: onPort(port), prevResult: results[pod] })
const tryAdd = (pod: PodName, port: number, config: Record<string, unknown> = {}) =>
  tryOffload(runtime, 'ADD', pod, { config, ports: onPort(port), prevResult: results[pod] })
const check = (pod: PodName, port: number, config: Record<string, unknown> = {}) =>
  tryOffload(runtime, 'CHECK', pod, { config, ports: onPort(port), prevResult: results[pod] })
const del = (pod: PodName, config: Record<string, unknown> = {}) =>
  offload(runtime, 'DEL', pod, { config, prevResult: results[pod] })

const isRefused = async (pod: PodName, port: number, owner: PodName, config = {}) =>
  expect(errorOf(await tryAdd(pod, port, config))).toMatchObject({
    code: 100,
    msg: expect.stringContaining(`port ${port} is taken by container/interface "${owner}/eth0"`),
  })
const isWhole = async (pod: PodName, port: number, config: Record<string, unknown> = {}) =>
  expect((await check(pod, port, config)).stdout).toBe('')

/** The points that a call passes, as faults that flush the node's rules there. */
async function pointsOf(verb: string, pod: PodName, port: number): Promise<string[]> {
  await lab.must(`rm -f ${trace}`)
  const passed = await call(verb, pod, port, { VF_FLOWER_FAULT_TRACE: trace }, localhost)
  expect(passed.code, passed.stdout).toBe(0)
  return (await lab.must(`cat ${trace}`)).trim().split('\n')
}

const gcOf = { 'cni.dev/valid-attachments': names.map((pod) => ({ containerID: pod, ifname: 'eth0' })) }

interface TestSetting {
  readonly add: typeof add
  readonly del: typeof del
  gc(): Promise<unknown>
  status(): Promise<unknown>
}

async function succeed(verb: string, config: Record<string, unknown>): Promise<ExecResult> {
  const list = { ...bridgeList('pod-one'), cniVersion: '1.1.0' }
  const result = await runtime.call(verb, list, chained(config), podOf('pod-one', []))
  expect(result.code, `${verb}: ${result.stdout}${result.stderr}`).toBe(0)
  return result
}

const elsewhere = { stateDir: '/run/other-records' }

describe('at any step of a call', () => {
  test('a flush at any step of an ADD changes nothing of its end, nor of the ports of others', async () => {
    await add('pod-one', 30_000, localhost)
    const points = await pointsOf('ADD', 'pod-two', 30_001)
    await del('pod-two')
    expect(points.filter((point) => point.startsWith('table:')).length).toBeGreaterThan(1)
    const said: string[] = []
    for (const point of points) {
      const added = await call('ADD', 'pod-two', 30_001, { VF_FLOWER_FAULT: `${point}:FLUSH` }, localhost)
      expect(added.code, `${point}: ${added.stdout}`).toBe(0)
      said.push(added.stderr)
      // The ADD itself repairs a flush before its end; after its last look the next call does it.
      if (/^(op|table):/.test(point)) {
        await isWhole('pod-one', 30_000, localhost)
        await isWhole('pod-two', 30_001, localhost)
      }
      await isRefused('pod-three', 30_000, 'pod-one')
      await isRefused('pod-three', 30_001, 'pod-two')
      await isWhole('pod-one', 30_000, localhost)
      await isWhole('pod-two', 30_001, localhost)
      expect(await table()).toContain('chain guard')
      await del('pod-two')
    }
    expect(said.join()).toContain('flushed during the ADD')
    await del('pod-one')
  })

  test('DEL leads back from an ADD that is killed at any step before a flush, and others keep their ports', async () => {
    await add('pod-one', 30_000, localhost)
    const points = await pointsOf('ADD', 'pod-two', 30_001)
    await del('pod-two')
    for (const point of points) {
      const killed = await call('ADD', 'pod-two', 30_001, { VF_FLOWER_FAULT: `${point}:SIGKILL` }, localhost)
      expect(killed.code, point).not.toBe(0)
      await flush()
      await isRefused('pod-three', 30_000, 'pod-one')
      await isWhole('pod-one', 30_000, localhost)
      await del('pod-two')
      await add('pod-three', 30_001)
      await del('pod-three')
    }
    await del('pod-one')
  })

  test('a DEL takes its own when a flush comes at any step, and the next call gives back the ports of others', async () => {
    await add('pod-one', 30_000, localhost)
    await add('pod-two', 30_001, localhost)
    const points = await pointsOf('DEL', 'pod-two', 30_001)
    for (const point of points) {
      await add('pod-two', 30_001, localhost)
      const deleted = await call('DEL', 'pod-two', 30_001, { VF_FLOWER_FAULT: `${point}:FLUSH` })
      expect(deleted.code, `${point}: ${deleted.stdout}`).toBe(0)
      await isRefused('pod-three', 30_000, 'pod-one')
      await isWhole('pod-one', 30_000, localhost)
      await add('pod-three', 30_001)
      expect(await table()).toContain('chain guard')
      await del('pod-three')
    }
    await del('pod-one')
  })
})

describe('CHECK', () => {
  test.each<[string, (setting: TestSetting) => Promise<unknown>]>([
    ['ADD', ({ add }) => add('pod-three', 30_002)],
    ['DEL', ({ del }) => del('pod-two')],
    ['DEL of what nobody has made', ({ del }) => del('pod-three')],
    ['GC', ({ gc }) => gc()],
    ['STATUS', ({ status }) => status()],
  ])('CHECK tells of a flush, and the next %s gives back what others had', async (verb, next) => {
    await add('pod-one', 30_000, localhost)
    await add('pod-two', 30_001)
    await flush()
    expect(errorOf(await check('pod-one', 30_000, localhost))).toMatchObject({
      code: 104,
      msg: expect.stringContaining('no such element'),
    })
    await next({ add, del, gc: () => succeed('GC', gcOf), status: () => succeed('STATUS', {}) })
    await isWhole('pod-one', 30_000, localhost)
    if (verb !== 'DEL') await isWhole('pod-two', 30_001)
  })

  test.each([
    ['an element', 'element inet vf-flower ports4', `{ ${HOST.v4} . tcp . 30000 }`, 'no such element'],
    ['whom to masquerade', 'element inet vf-flower snat4', `{ ${HOST.v4} . tcp . 30000 }`, 'no such element'],
    ['the guard', 'chain inet vf-flower guard', '', 'ip daddr 127.0.0.0/8 drop'],
  ])('CHECK tells that %s is missing', async (_, what, element, words) => {
    await add('pod-one', 30_000, localhost)
    await isWhole('pod-one', 30_000, localhost)
    await lab.must(`nft delete ${what} '${element}' 2>/dev/null || nft 'flush ${what}; delete ${what}'`)
    const { code, msg } = errorOf(await check('pod-one', 30_000, localhost))
    expect([code, msg]).toEqual([104, expect.stringContaining(words)])
  })
})

describe('the next call', () => {
  test('records in another folder count', async () => {
    await add('pod-one', 30_000, elsewhere)
    await flush()
    await isRefused('pod-two', 30_000, 'pod-one')
    await del('pod-one', elsewhere)
    await add('pod-two', 30_000)
  })

  test.each([
    ['ADD', () => isRefused('pod-three', 30_000, 'pod-one', elsewhere)],
    ['STATUS', () => succeed('STATUS', elsewhere)],
  ])('a call (%s) from a folder that the note lacks gives back what its records have', async (_, next) => {
    await add('pod-one', 30_000, elsewhere)
    await lab.must('rm /run/vf-flower/table')
    await add('pod-two', 30_001)
    await flush()
    await del('pod-three')
    await next()
    await isWhole('pod-one', 30_000, elsewhere)
    await isWhole('pod-two', 30_001)
    await del('pod-one', elsewhere)
  })

  test('one of two living records with one port gets it after a flush, and all others get theirs', async () => {
    await add('pod-one', 30_000, elsewhere)
    // Nobody knows of the folder, so that the port is given away.
    await lab.must('rm /run/vf-flower/table')
    await flush()
    await add('pod-two', 30_000)
    await add('pod-three', 30_001)
    const refusal =
      'Cannot reserve the host ports of container/interface "pod-one/eth0" again: another attachment has one of its ports'
    expect((await succeed('STATUS', elsewhere)).stderr).toContain(refusal)
    await flush()
    expect((await succeed('GC', gcOf)).stderr).toContain(refusal)
    await isWhole('pod-two', 30_000)
    await isWhole('pod-three', 30_001)
    expect(errorOf(await check('pod-one', 30_000, elsewhere))).toMatchObject({ code: 104 })
    await del('pod-one', elsewhere)
    await isWhole('pod-two', 30_000)
  })

  test('a DEL of what nobody has made opens no records where no port is reserved', async () => {
    // Whoever reads it tells of it.
    await lab.must(`mkdir -p -m 700 '${broken.replace(/\/[^/]*$/, '')}'; echo broken >'${broken}'`)
    expect((await del('pod-three')).stderr).toBe('')
    await add('pod-one', 30_000)
    await flush()
    expect((await del('pod-three')).stderr).toContain('"broken/eth0"')
    await isWhole('pod-one', 30_000)
  })

  test('rules that were saved earlier and loaded again lack what came since, and have what has gone', async () => {
    await add('pod-one', 30_000)
    await add('pod-three', 30_002)
    await lab.must('(echo flush ruleset; nft list ruleset) >/run/saved-rules')
    await del('pod-three')
    await add('pod-two', 30_002)
    await lab.must('nft -f /run/saved-rules; rm /run/saved-rules')
    // Its entries in the file bear its mark.
    await del('pod-three')
    await isRefused('pod-three', 30_002, 'pod-two')
    await isWhole('pod-one', 30_000)
    await isWhole('pod-two', 30_002)
  })

  test('the records tell who has which port when the note is lost, and the table stays', async () => {
    await add('pod-one', 30_000)
    await lab.must('rm /run/vf-flower/table')
    await isRefused('pod-two', 30_000, 'pod-one')
    await lab.must('rm /run/vf-flower/table')
    await flush()
    await isRefused('pod-two', 30_000, 'pod-one')
    await isWhole('pod-one', 30_000)
  })

  test('a pod that has died holds nothing after a flush', async () => {
    await add('pod-one', 30_000)
    await deletePod(lab, 'pod-one')
    await flush()
    await add('pod-two', 30_000)
    // Its DEL comes late, and takes nothing from whoever has the port now.
    await runtime.del(bridgeList('pod-one'), { ...podOf('pod-one'), netns: '' })
    await isWhole('pod-two', 30_000)
    await del('pod-two')
    // Without the pod and its end of the bridge.
    before = await snapshot(lab)
  })
})
