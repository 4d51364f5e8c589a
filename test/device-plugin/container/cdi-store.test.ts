// The folder of CDI specs: every file is valid by the rules of the specification and of the library behind the runtimes, whole at any
// time, no name is in two files, entries stay while a pod has their device, and files of others are not touched.
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CdiSpecs } from '../../../device-plugin/container/cdi/store.ts'
import type { Member, Pool } from '../../../device-plugin/pools/pool.ts'
import { cdiDevices, faultsOf } from '../../support/device-plugin/cdi-rules.ts'
import { member, pool, poolConfig, vf, vfioVf } from '../../support/device-plugin/members.ts'
import { temporaryFolder } from '../../support/device-plugin/temporary-folder.ts'

const none: ReadonlySet<string> = new Set()
const id = (index: number) => `0000:3b:02.${index}`
const minutes = 60_000

function store({ absent = [''] } = {}) {
  const folder = temporaryFolder()
  const clock = { now: 0 }
  const open = () => new CdiSpecs({ folder, exists: (path) => !absent.includes(path), now: () => clock.now })
  return { folder, clock, specs: open(), open }
}

const sriov = (...members: readonly Member[]) => pool(poolConfig(), members)
const dpdk = (...members: readonly Member[]) => pool(poolConfig({ name: 'dpdk' }), members)
const vfio = (index: number, group?: number) => member(vfioVf(index, group))
const nodesOf = (folder: string, index: number) => cdiDevices(folder).get(`intel.com/net-pci=${id(index)}`)

describe('an update', () => {
  test('writes one file for each pool, for those members that have files', () => {
    const { folder, specs } = store()
    specs.update([sriov(vfio(2), member(vf(1)), vfio(0)), dpdk(vfio(3))], none)
    expect(readdirSync(folder).sort()).toEqual([
      'vf-flower-intel.com_dpdk_net-pci.json',
      'vf-flower-intel.com_sriov_net-pci.json',
    ])
    const path = `${folder}/vf-flower-intel.com_sriov_net-pci.json`
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      cdiVersion: '0.5.0',
      kind: 'intel.com/net-pci',
      devices: [40, 42].map((group) => ({
        name: id(group - 40),
        containerEdits: {
          deviceNodes: ['/dev/vfio/vfio', `/dev/vfio/${group}`].map((file) => ({
            path: file,
            hostPath: file,
            permissions: 'rw',
          })),
        },
      })),
    })
    expect(statSync(path).mode & 0o777).toBe(0o644)
    expect(faultsOf(folder)).toEqual([])
  })

  test('of a pool whose devices have no files writes none: the library takes no empty spec', () => {
    const { folder, specs } = store()
    specs.update([sriov(member(vf(1))), dpdk()], none)
    expect(readdirSync(folder)).toEqual([])
  })

  test('says another group as soon as the device has one, and does not touch a file that says the same', () => {
    const { folder, specs } = store()
    specs.update([sriov(vfio(1, 7))], none)
    const path = `${folder}/vf-flower-intel.com_sriov_net-pci.json`
    const inode = statSync(path).ino
    specs.update([sriov(vfio(1, 7))], none)
    expect(statSync(path).ino).toBe(inode)
    specs.update([sriov(vfio(1, 8))], new Set([id(1)]))
    expect(nodesOf(folder, 1)).toEqual(['/dev/vfio/vfio', '/dev/vfio/8'])
  })

  test('passes over a pool whose prefix can be no vendor, and a member that lacks its RDMA device', () => {
    const { folder, specs } = store()
    specs.update([pool(poolConfig({ prefix: '8086.example' }), [vfio(1)])], none)
    specs.update([sriov(member(vfioVf(2), { isRdma: true }))], none)
    expect(readdirSync(folder)).toEqual([])
  })
})

describe('an entry without a member', () => {
  test('stays with its last files while a pod has the device, over a restart too', () => {
    const { folder, clock, specs, open } = store()
    specs.update([sriov(vfio(1), vfio(2))], none)
    const held = new Set([id(1)])
    clock.now = 60 * minutes
    specs.update([sriov()], held)
    clock.now = 120 * minutes
    specs.update([sriov()], held)
    expect(nodesOf(folder, 1)).toEqual(['/dev/vfio/vfio', '/dev/vfio/41'])
    open().update([], held)
    expect(nodesOf(folder, 1)).toEqual(['/dev/vfio/vfio', '/dev/vfio/41'])
    expect(faultsOf(folder)).toEqual([])
  })

  test('stays while the device has no RDMA files because they are in its pod', () => {
    const { folder, clock, specs } = store()
    const files = { uverbs: 'uverbs3' }
    const rdma = { device: 'mlx5_3', files, connectionManager: false, pKey: undefined }
    specs.update([sriov(member(vf(1, { rdma }), { isRdma: true }))], none)
    clock.now = 60 * minutes
    specs.update([sriov(member(vf(1), { isRdma: true }))], new Set([id(1)]))
    expect(nodesOf(folder, 1)).toEqual(['/dev/infiniband/uverbs3'])
  })

  test('stays for some minutes without a pod: another process may have given the device out', () => {
    const { folder, clock, specs } = store()
    specs.update([sriov(vfio(1))], none)
    specs.update([], none)
    clock.now = 9 * minutes
    specs.update([], none)
    expect(nodesOf(folder, 1)).toBeDefined()
    clock.now = 11 * minutes
    specs.update([], none)
    expect(readdirSync(folder)).toEqual([])
  })

  test('that a pod had meanwhile has its minutes anew', () => {
    const { folder, clock, specs } = store()
    specs.update([sriov(vfio(1))], none)
    specs.update([], none)
    clock.now = 9 * minutes
    specs.update([], new Set([id(1)]))
    clock.now = 18 * minutes
    specs.update([], none)
    expect(nodesOf(folder, 1)).toBeDefined()
  })

  test('goes from its file when another pool of the kind has the device', () => {
    const { folder, specs } = store()
    specs.update([sriov(vfio(1), vfio(2))], none)
    specs.update([sriov(vfio(2)), dpdk(vfio(1))], new Set([id(1)]))
    expect(faultsOf(folder)).toEqual([])
    expect(nodesOf(folder, 1)).toBeDefined()
  })

  test('stays under its old kind when the type of the pool changes', () => {
    const { folder, specs } = store()
    specs.update([sriov(vfio(1))], none)
    specs.update([pool(poolConfig({ deviceType: 'accelerator' }), [vfio(2)])], new Set([id(1)]))
    expect([...cdiDevices(folder).keys()].sort()).toEqual([
      `intel.com/net-accel=${id(2)}`,
      `intel.com/net-pci=${id(1)}`,
    ])
  })
})

test('two processes share the files: neither takes an entry from the other', () => {
  const { folder, specs, open } = store()
  const other = open()
  specs.update([sriov(vfio(1))], none)
  other.update([sriov(vfio(1), vfio(2))], none)
  specs.update([sriov(vfio(1))], none)
  expect(nodesOf(folder, 2)).toBeDefined()
  expect(faultsOf(folder)).toEqual([])
})

test('files of others, and folders, are not touched; a spoilt file of ours is written anew', () => {
  const { folder, specs } = store()
  const foreign = { 'sriov-dp-intel.com-net-pci-x.yaml': 'kind: a', 'vendor.json': '{', 'vf-flower.txt': 'x' }
  for (const [name, text] of Object.entries(foreign)) writeFileSync(`${folder}/${name}`, text)
  writeFileSync(`${folder}/vf-flower-intel.com_sriov_net-pci.json`, '{"cdiVersion')
  specs.update([sriov(vfio(1))], none)
  specs.update([], none)
  for (const [name, text] of Object.entries(foreign))
    expect(readFileSync(`${folder}/${name}`, 'utf8')).toBe(text)
  expect(nodesOf(folder, 1)).toBeDefined()
})

test('the temporary file of a process that was killed is removed when it is old', () => {
  const { folder, specs } = store()
  mkdirSync(folder, { recursive: true })
  const [old, young, foreign] = [
    '.vf-flower-a_b_net-pci.json.7.tmp',
    '.vf-flower-c_d_net-pci.json.8.tmp',
    '.x.9.tmp',
  ]
  for (const name of [old, young, foreign]) writeFileSync(`${folder}/${name}`, '')
  for (const name of [old, foreign]) utimesSync(`${folder}/${name}`, 1000, 1000)
  specs.update([], none)
  expect(readdirSync(folder).sort()).toEqual([young, foreign].sort())
})

test('after any changes each file is valid, no name is in two, and each device that is offered or held has one', () => {
  const index = fc.integer({ min: 0, max: 7 })
  const step = fc.record({
    pools: fc.array(fc.uniqueArray(index), { minLength: 3, maxLength: 3 }),
    held: fc.uniqueArray(index),
    minutes: fc.integer({ min: 0, max: 8 }),
    restart: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      const { folder, clock, specs: first, open } = store()
      let specs = first
      let known = new Set<string>()
      for (const { pools, held, minutes: wait, restart } of steps) {
        clock.now += wait * minutes
        if (restart) specs = open()
        const heldIds = new Set(held.map(id))
        specs.update(poolsOf(pools), heldIds)
        const names = cdiDevices(folder)
        expect(faultsOf(folder)).toEqual([])
        const offered = [...new Set(pools.flat())].map(id)
        const wanted = [...offered, ...[...known].filter((one) => heldIds.has(one))]
        for (const one of wanted) expect([...names.keys()]).toContain(`intel.com/net-pci=${one}`)
        known = new Set([...names.keys()].map((name) => name.split('=')[1] ?? ''))
      }
    }),
    { numRuns: 30 },
  )
})

/** Three pools; a device that two of them list belongs to the first. */
function poolsOf(lists: readonly (readonly number[])[]): Pool[] {
  return lists.map((list, at) => {
    const before = new Set(lists.slice(0, at).flat())
    const own = list.filter((one) => !before.has(one)).map((one) => vfio(one))
    return pool(poolConfig({ name: `p${at}` }), own)
  })
}

test('a reader finds a whole spec at any time', async () => {
  const { folder, specs } = store()
  specs.update([sriov(vfio(1))], none)
  const shared = new Int32Array(new SharedArrayBuffer(8))
  const reader = new Worker(readerSource, { eval: true, workerData: { folder, shared } })
  onTestFinished(async () => void (await reader.terminate()))
  const ended = new Promise<unknown>((resolve, reject) =>
    reader.once('message', resolve).once('error', reject),
  )
  await new Promise((resolve) => reader.once('online', resolve))
  // At least a hundred reads fall between the writes.
  for (let turn = 0; Atomics.load(shared, 0) < 100; turn++) {
    const some = Array.from({ length: (turn % 7) + 1 }, (_, index) => vfio(index, 100 + turn + index))
    specs.update([sriov(...some)], none)
  }
  Atomics.store(shared, 1, 1)
  expect(await ended).toBe('whole')
})

const readerSource = `
const { parentPort, workerData: { folder, shared } } = require('node:worker_threads')
const { readdirSync, readFileSync } = require('node:fs')
let broken = 'whole'
while (Atomics.load(shared, 1) === 0) {
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.json'))) {
    const text = readFileSync(folder + '/' + name, 'utf8')
    try { if (JSON.parse(text).devices.length === 0) broken = text } catch { broken = 'broken: ' + text }
  }
  Atomics.add(shared, 0, 1)
}
parentPort.postMessage(broken)
`
