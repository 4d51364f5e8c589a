// The compiled vf-device-plugin follows the node: VFs that come and go, storms of uevents, and the health of each device with its
// reason, as kubelet, the log and the metrics tell it.
// needs: namespaces, veth

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import { attachRecords } from '../../../src/records/attach.ts'
import { readText } from '../../../src/sys/files.ts'
import {
  PF,
  type Program,
  type ProgramBed,
  poolOf,
  programBed,
  vfEvent,
  withVfs,
} from '../../support/device-plugin/program.ts'

const resource = 'intel.com/net'
const pod = { uid: 'u1', namespace: 'prod', name: 'web' }
let bed: ProgramBed
let plugin: Program
let vfs: readonly string[]

async function serve(...pools: readonly object[]): Promise<void> {
  bed.configure({ resourceList: pools })
  await bed.kubelet.start()
  plugin = bed.start()
  await plugin.logged(/serves kubelet/)
}

beforeEach(async () => {
  bed = await programBed()
  vfs = withVfs(bed.root, 4)
})
afterEach(() => bed.close())

describe('devices', () => {
  test('that come and go are one message to the pool that has them, and none to others', async () => {
    await serve(poolOf('net', '0-5'), poolOf('other', '6-7'), { resourceName: 'empty', selectors: [] })
    await bed.kubelet.wait(resource, { healthy: vfs, messages: 1 })
    await bed.kubelet.wait('intel.com/other', { healthy: 0, connected: true, messages: 1 })
    const six = withVfs(bed.root, 6)
    await bed.touch()
    expect((await bed.kubelet.wait(resource, { healthy: six })).messages).toBe(2)
    withVfs(bed.root, 1)
    await bed.touch()
    expect((await bed.kubelet.wait(resource, { healthy: vfs.slice(0, 1), unhealthy: 0 })).messages).toBe(3)
    expect((await bed.kubelet.devices('intel.com/other'))?.messages).toBe(1)
    const eight = withVfs(bed.root, 8)
    await bed.touch()
    await bed.kubelet.wait('intel.com/other', { healthy: eight.slice(6), messages: 2 })
    expect((await bed.kubelet.devices('intel.com/empty'))?.messages).toBe(1)
  })

  test('are looked at a few times in a storm of 5,000 uevents, and no message is sent without a change', async () => {
    await serve(poolOf('net', '0-7'))
    await bed.kubelet.wait(resource, { healthy: vfs })
    const scans = () => plugin.value('vf_flower_scan_duration_seconds_count')
    const before = await scans()
    await bed.inject([vfEvent], 5_000)
    await until(
      async () => (await plugin.value('vf_flower_events_total', { kind: 'pci' })) === 5_000,
      'all came',
    )
    // A change behind the storm is seen after all of it was.
    const six = withVfs(bed.root, 6)
    await bed.touch()
    expect((await bed.kubelet.wait(resource, { healthy: six })).messages).toBe(2)
    expect((await scans()) - before).toBeLessThanOrEqual(20)
    expect((await scans()) - before).toBeGreaterThanOrEqual(2)
  })
})

describe('health', () => {
  const unhealthy = (id: string, reason: string) =>
    until(
      async () => (await plugin.value('vf_flower_device_unhealthy', { device: id, reason })) === 1,
      `${id} is unhealthy for ${reason}`,
    )

  test('a VF that vanishes under a pod stays and is unhealthy until the pod ends; one that nobody has leaves', async () => {
    await serve(poolOf('net', '0-3'))
    await bed.kubelet.wait(resource, { healthy: 4 })
    const { ids } = await bed.kubelet.allocate(pod, 'main', resource, 1)
    expect(ids).toEqual([vfs[0]])
    await until(
      async () => (await plugin.value('vf_flower_pool_allocated_devices', { resource })) === 1,
      'the allocation is known',
    )
    withVfs(bed.root, 0)
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 0, unhealthy: ids })
    await unhealthy(ids[0] ?? '', 'gone')
    await plugin.logged(
      /^0000:3b:10\.0 of intel\.com\/net is unhealthy: the device is not on the node any more/,
    )
    withVfs(bed.root, 4)
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 4, unhealthy: 0 })
    withVfs(bed.root, 0)
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 0, unhealthy: ids })
    await bed.kubelet.endPod(pod.uid)
    await bed.kubelet.wait(resource, { healthy: 0, unhealthy: 0 })
  })

  test('another driver: a device of a pod is unhealthy, and good when the driver is back', async () => {
    await serve(poolOf('net', '0-3'))
    await bed.kubelet.wait(resource, { healthy: 4 })
    const [id = ''] = (await bed.kubelet.allocate(pod, 'main', resource, 1)).ids
    await until(
      async () => (await plugin.value('vf_flower_pool_allocated_devices', { resource })) === 1,
      'the allocation is known',
    )
    bed.root.bind(id, 'vfio-pci')
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 3, unhealthy: [id] })
    await plugin.logged(/the driver of the device was igbvf, and is vfio-pci now/)
    bed.root.bind(id, 'igbvf')
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 4, unhealthy: 0 })
  })

  test('a device whose pod is dead and that was not restored is unhealthy, and Allocate refuses it', async () => {
    const [first = '', second = ''] = vfs
    await serve(poolOf('net', '0-3'))
    await bed.kubelet.wait(resource, { healthy: 4 })
    const stale = record(first, 'c0ffee')
    record(second, 'beef', 'another-boot')
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: vfs.slice(1), unhealthy: [first] })
    await unhealthy(first, 'dirty')
    await plugin.logged(/is unhealthy: the device is not restored: a pod is gone without a DEL/)
    await expect(bed.kubelet.allocateIds(resource, [first])).rejects.toThrow(
      /0000:3b:10\.0.*not restored yet since container "c0ffee" had it/,
    )
    // The record of an earlier boot says nothing about this one, in which the device was made anew.
    await bed.kubelet.allocateIds(resource, [second])
    attachRecords(bed.state).remove(stale)
    await bed.touch()
    await bed.kubelet.wait(resource, { healthy: 4, unhealthy: 0 })
  })

  test('a loss of carrier that lasts is told after badAfter, its end after goodAfter', async () => {
    await serve(poolOf('net', '0-3', { health: { badAfter: 1, goodAfter: 1 } }))
    await bed.kubelet.wait(resource, { healthy: 4 })
    const carrier = async (is: boolean) => {
      bed.root.setValue(PF, 'net/ens1/carrier', Number(is))
      bed.root.setValue(PF, 'net/ens1/operstate', is ? 'up' : 'down')
      await bed.touch()
    }
    await carrier(false)
    const down = await bed.kubelet.wait(resource, { healthy: 0, unhealthy: 4 })
    expect(down.messages).toBe(2)
    await plugin.logged(/is unhealthy: .*carrier/)
    await carrier(true)
    expect((await bed.kubelet.wait(resource, { healthy: 4, unhealthy: 0 })).messages).toBe(3)
  })
})

/** A record of vf-attach whose namespace is gone. */
function record(id: string, containerID: string, bootId = readText('/proc/sys/kernel/random/boot_id') ?? '') {
  return attachRecords(bed.state).write(id, {
    ...{ schema: 1, plugin: 'vf-attach', phase: 'attached' },
    owner: {
      ...{ containerID, ifname: 'net1', network: 'n', netns: `/run/netns/gone-${containerID}` },
      ...{ netnsId: '4:1', bootId },
    },
    journal: { device: { id, parents: [] }, original: {} },
  })
}
