// The kubelet simulator does as kubelet does where tests of the device plugin rely on it: the books of the device manager, the checkpoint,
// the names that it takes, pod resources, and what a restart keeps.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { Client, credentials } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { call } from '../../../hack/lab/kubelet/wire.ts'
import { until } from '../../../hack/lab/until.ts'
import { device, type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

const pod = (uid: string) => ({ uid, namespace: 'space', name: `pod-${uid}` })

const running = async () => {
  bed = kubeletBed()
  await bed.kubelet.start()
  const frontEnd = bed.open()
  frontEnd.offer([
    offer('x.org/a', device('a', undefined, 0), device('b', undefined, 1), device('c', 'carrier')),
  ])
  await bed.kubelet.wait('x.org/a', { healthy: ['a', 'b'], unhealthy: ['c'] })
  return bed
}

test('gives a device to one container at a time, unhealthy ones to none, and takes it back when the pod ends', async () => {
  const { kubelet } = await running()
  expect((await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)).ids).toEqual(['b'])
  expect((await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)).replayed).toBe(true)
  expect((await kubelet.allocate(pod('1'), 'other', 'x.org/a', 1)).ids).toEqual(['a'])
  await expect(kubelet.allocate(pod('2'), 'main', 'x.org/a', 1)).rejects.toThrow(
    'requested number of devices unavailable for x.org/a. Requested: 1, Available: 0',
  )
  await kubelet.endPod('1')
  expect((await kubelet.allocate(pod('2'), 'main', 'x.org/a', 2)).ids).toEqual(['b', 'a'])
})

test('writes a checkpoint with devices by NUMA node, and answers pod resources with one entry a device', async () => {
  const { kubelet, path } = await running()
  await kubelet.allocate(pod('1'), 'main', 'x.org/a', 2)
  const { Data, Checksum } = JSON.parse(
    readFileSync(path('device-plugins', 'kubelet_internal_checkpoint'), 'utf8'),
  )
  expect(Checksum).toBe(0)
  expect(Data.RegisteredDevices).toEqual({ 'x.org/a': ['a', 'b'] })
  expect(Data.PodDeviceEntries).toEqual([
    {
      ...{
        PodUID: '1',
        ContainerName: 'main',
        ResourceName: 'x.org/a',
        DeviceIDs: { '0': ['a'], '1': ['b'] },
      },
      AllocResp: Buffer.from('\n\x0e\n\x07x.org/a\x12\x03b,a').toString('base64'),
    },
  ])
  const { path: method, requestSerialize, responseDeserialize } = call('v1.PodResourcesLister', 'List')
  const client = new Client(`unix:${path('pod-resources', 'kubelet.sock')}`, credentials.createInsecure())
  const listed = await new Promise((resolve, reject) =>
    client.makeUnaryRequest(method, requestSerialize, responseDeserialize, {}, (error, value) =>
      error === null ? resolve(value) : reject(error),
    ),
  )
  client.close()
  const entry = (id: string, node: number) => ({
    ...{ resource_name: 'x.org/a', device_ids: [id], topology: { nodes: [{ ID: node }] } },
  })
  expect(listed).toEqual({
    pod_resources: [
      {
        ...{ name: 'pod-1', namespace: 'space' },
        containers: [{ name: 'main', devices: [entry('b', 1), entry('a', 0)] }],
      },
    ],
  })
})

test('a restart removes sockets of device-plugins alone, and keeps the allocations', async () => {
  const { kubelet, path } = await running()
  const { ids } = await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)
  writeFileSync(path('device-plugins', 'file'), '')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path('device-plugins', 'dead.sock'), resolve))
  await kubelet.restart()
  expect(existsSync(path('device-plugins', 'dead.sock'))).toBe(false)
  expect(existsSync(path('device-plugins', 'file'))).toBe(true)
  expect(existsSync(path('plugins_registry', 'x.org_a.sock'))).toBe(true)
  await new Promise((resolve) => server.close(resolve))
  await kubelet.wait('x.org/a', { healthy: ['a', 'b'] })
  expect(await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)).toMatchObject({ ids, replayed: true })
})

test.each(['no-domain', 'kubernetes.io/x', 'a.kubernetes.io/x', 'x.org/-a', `x.org/${'n'.repeat(64)}`])(
  'refuses the resource name %s',
  async (resource) => {
    bed = kubeletBed({ watcher: false })
    await bed.kubelet.start()
    const frontEnd = bed.open()
    frontEnd.offer([offer(resource, 'one')])
    await until(() => frontEnd.status()[0]?.problem?.includes('is invalid') === true, 'the refusal is told')
  },
)
