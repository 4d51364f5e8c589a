// The compiled vf-device-plugin restores devices whose pod is dead by the DEL of vf-attach: in the time that the pool gives, never
// while the pod is there or kubelet says that a pod has the device, and again after a failure.
// needs: namespaces, veth

import { existsSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import { attachRecords } from '../../../src/records/attach.ts'
import type { PluginRecord } from '../../../src/records/record.ts'
import { readText } from '../../../src/sys/files.ts'
import {
  type Program,
  type ProgramBed,
  poolOf,
  programBed,
  withVfs,
} from '../../support/device-plugin/program.ts'

const resource = 'intel.com/net'
const pod = { uid: 'u1', namespace: 'prod', name: 'web' }
let bed: ProgramBed
let plugin: Program
let vfs: readonly string[]

beforeEach(async () => {
  bed = await programBed()
  vfs = withVfs(bed.root, 3)
  await bed.kubelet.start()
})
afterEach(() => bed.close())

async function serve(restoreAfter: number, args: readonly string[] = []): Promise<void> {
  bed.configure({ resourceList: [poolOf('net', '0-2', { restoreAfter })] })
  plugin = bed.start(args)
  await bed.kubelet.wait(resource, { connected: true, messages: 1 })
}

/** A record of vf-attach. Its namespace is gone, where none is given. */
function record(
  id: string,
  containerID: string,
  netns = '/run/netns/gone',
  { netnsId = '4:1', phase = 'attached' as PluginRecord<unknown>['phase'] } = {},
  state = bed.state,
) {
  const bootId = readText('/proc/sys/kernel/random/boot_id') ?? ''
  return attachRecords(state).write(id, {
    ...{ schema: 1, plugin: 'vf-attach', phase },
    owner: { ...{ containerID, ifname: 'net1', network: 'n', netns, netnsId }, bootId },
    journal: { device: { id, pci: id, parents: [] }, original: {} },
  })
}

test('a record without a pod and without a DEL goes, and its device is offered again', async () => {
  const [first = '', second = ''] = vfs
  const [one, two] = [record(first, 'c0ffee'), record(second, 'beef')]
  await serve(0.5)
  await plugin.logged(/0000:3b:10\.0 is restored after its pod/)
  await plugin.logged(/0000:3b:10\.2 is restored after its pod/)
  await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0 })
  expect([one.path, two.path].map((path) => existsSync(path))).toEqual([false, false])
})

test('without the key the device stays unhealthy, and its record stays', async () => {
  const [first = ''] = vfs
  const { path } = record(first, 'c0ffee')
  await serve(0)
  await bed.kubelet.wait(resource, { healthy: vfs.slice(1), unhealthy: [first] })
  bed.configure({ resourceList: [poolOf('net', '0-2', { restoreAfter: 0.1 })] })
  await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0 })
  expect(existsSync(path)).toBe(false)
})

test('a device that kubelet gives to a pod is left alone until the pod ends', async () => {
  await serve(0.1)
  await bed.kubelet.wait(resource, { healthy: vfs })
  const { ids } = await bed.kubelet.allocate(pod, 'main', resource, 1)
  await plugin.shows('vf_flower_pool_allocated_devices', { resource }, 1)
  const { path } = record(ids[0] ?? '', 'c0ffee')
  const free = record(vfs[2] ?? '', 'beef')
  await bed.touch()
  // The other one is restored, so this one had its chance.
  await until(() => !existsSync(free.path), 'the free device is restored')
  expect(existsSync(path)).toBe(true)
  await bed.kubelet.endPod(pod.uid)
  await until(() => !existsSync(path), 'the device is restored')
  await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0 })
})

test('a pod that is there keeps its device, also while its ADD is at work', async () => {
  const [first = '', second = '', third = ''] = vfs
  await bed.shell('ip netns add one; ip netns add two')
  const idOf = (name: string) => bed.shell(`stat -L -c %d:%i /run/netns/${name}`)
  const attached = record(first, 'one', '/run/netns/one', { netnsId: await idOf('one') })
  const begun = record(second, 'two', '/run/netns/two', { netnsId: await idOf('two'), phase: 'applying' })
  const dead = record(third, 'three')
  await serve(0.1)
  await until(() => !existsSync(dead.path), 'the third device is restored')
  expect([attached.path, begun.path].map((path) => existsSync(path))).toEqual([true, true])
  await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0 })
  await bed.shell('ip netns del one; ip netns del two')
  await bed.touch()
  await until(() => !existsSync(attached.path) && !existsSync(begun.path), 'both are restored')
})

test('a DEL that restores nothing is told', async () => {
  // The policy of vf-attach allows no folder there, so DEL looks elsewhere.
  const [first = ''] = vfs
  record(first, 'c0ffee', '/run/netns/gone', {}, bed.path('state'))
  await serve(0.1, ['--state-dir', bed.path('state')])
  await plugin.logged(
    /^Cannot restore 0000:3b:10\.0: vf-attach has left its record as it was \(vf-attach: Cannot use stateDir .*\); another try follows in 10 s/,
  )
  await bed.kubelet.wait(resource, { healthy: vfs.slice(1), unhealthy: [first] })
  // A stop does not wait for the next try.
  expect(await plugin.stop()).toEqual({ code: 0, signal: null })
})
