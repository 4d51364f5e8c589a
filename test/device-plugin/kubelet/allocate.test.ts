// Allocate, GetPreferredAllocation and PreStartContainer as kubelet calls them: everything that a container gets, refusals as they come
// to the event of a pod, answers from the checkpoint, and the events for metrics.

import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { AllocationRefused, type Core } from '../../../device-plugin/front-end.ts'
import type { KubeletSettings } from '../../../device-plugin/kubelet/settings.ts'
import { until } from '../../../hack/lab/until.ts'
import { access, fixedCore, type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

const ids = ['a', 'b', 'c', 'd']
const pod = (uid: string) => ({ uid, namespace: 'default', name: `pod-${uid}` })

const running = async (core: Partial<Core> = {}, settings: Partial<KubeletSettings> = {}) => {
  bed = kubeletBed()
  await bed.kubelet.start()
  const frontEnd = bed.open(settings, fixedCore(core))
  frontEnd.offer([offer('x.org/a', ...ids)])
  await bed.kubelet.wait('x.org/a', { healthy: ids })
  return { ...bed, frontEnd }
}

describe('Allocate', () => {
  test('hands over environment, device files, mounts and CDI names', async () => {
    const asked: unknown[] = []
    const { kubelet } = await running({
      allocate: async (...call) => {
        asked.push(call)
        return access({
          env: { PCIDEVICE_X_ORG_A: 'd', OTHER: '{"d":1}' },
          deviceNodes: [{ hostPath: '/dev/vfio/noiommu-3', containerPath: '/dev/vfio/3', permissions: 'rw' }],
          mounts: [{ hostPath: '/run/x', containerPath: '/x', readOnly: true }],
          cdiNames: ['x.org/net-pci=d', 'x.org/net-pci=e'],
        })
      },
    })
    const { ids, response } = await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)
    expect(asked).toEqual([['x.org/a', ['d']]])
    expect(ids).toEqual(['d'])
    expect(response).toEqual({
      envs: { PCIDEVICE_X_ORG_A: 'd', OTHER: '{"d":1}' },
      devices: [{ host_path: '/dev/vfio/noiommu-3', container_path: '/dev/vfio/3', permissions: 'rw' }],
      mounts: [{ host_path: '/run/x', container_path: '/x', read_only: true }],
      annotations: {},
      cdi_devices: [{ name: 'x.org/net-pci=d' }, { name: 'x.org/net-pci=e' }],
    })
  })

  test.each([
    ['x.org/a', 'cdi.k8s.io/x.org_a'],
    [`x.org/${'n'.repeat(63)}`, /^cdi\.k8s\.io\/x\.org_n{48}-[0-9a-f]{8}$/],
  ])('gives CDI names of %s as an annotation if that is configured', async (resource, key) => {
    const { kubelet, frontEnd } = await running(
      { allocate: async () => access({ cdiNames: ['v/c=1', 'v/c=2'] }) },
      { cdiAnnotations: true },
    )
    frontEnd.offer([offer(resource, 'one')])
    await kubelet.wait(resource, { healthy: ['one'] })
    const { response } = await kubelet.allocate(pod('1'), 'main', resource, 1)
    expect(response.cdi_devices).toEqual([])
    const [name, ...others] = Object.keys(response.annotations)
    expect(name).toMatch(key)
    expect([response.annotations[name ?? ''], others]).toEqual(['v/c=1,v/c=2', []])
  })

  test('refuses with the sentence of the core, which comes as FAILED_PRECONDITION', async () => {
    const { kubelet } = await running({
      allocate: async () => {
        throw new AllocationRefused('Device d is in use by the host: it has the default route')
      },
    })
    await expect(kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)).rejects.toThrow(
      /^rpc error: code = FailedPrecondition desc = Device d is in use by the host: it has the default route$/,
    )
    expect((await kubelet.devices('x.org/a'))?.connected).toBe(true)
  })

  test('tells of any other error as INTERNAL', async () => {
    const { kubelet, log } = await running({
      allocate: async () => {
        throw new TypeError(`no such thing ${'x'.repeat(5_000)}`)
      },
    })
    await expect(kubelet.allocateIds('x.org/a', ['a'])).rejects.toThrow(
      /^rpc error: code = Internal desc = no such thing x{900,}$/,
    )
    expect(log.filter(({ level }) => level === 'error')).toHaveLength(1)
  })

  test('answers for the same devices again, as after a restart of the node', async () => {
    const { kubelet, path } = await running()
    const first = await kubelet.allocate(pod('1'), 'main', 'x.org/a', 2)
    await kubelet.restart()
    await kubelet.wait('x.org/a', { healthy: ids })
    const replayed = await kubelet.allocate(pod('1'), 'main', 'x.org/a', 2)
    expect(replayed).toEqual({ ...first, replayed: true })
    expect(await kubelet.allocateIds('x.org/a', first.ids)).toEqual(first.response)
    const { Data } = JSON.parse(readFileSync(path('device-plugins', 'kubelet_internal_checkpoint'), 'utf8'))
    expect(Data.PodDeviceEntries).toMatchObject([{ PodUID: '1', DeviceIDs: { '-1': ['d', 'c'] } }])
  })
})

describe('GetPreferredAllocation', () => {
  test('is asked of the core, with the devices that must be among them', async () => {
    const { kubelet } = await running()
    expect(await kubelet.prefer('x.org/a', ids, ['b'], 3)).toEqual(['b', 'd', 'c'])
    const { ids: given } = await kubelet.allocate(pod('1'), 'main', 'x.org/a', 2)
    expect(given).toEqual(['d', 'c'])
  })

  test('never fails: an error would refuse the pod', async () => {
    const { kubelet, log } = await running({
      prefer: () => {
        throw new TypeError('broken')
      },
    })
    expect(await kubelet.prefer('x.org/a', ids, [], 1)).toEqual([])
    expect((await kubelet.allocate(pod('1'), 'main', 'x.org/a', 1)).ids).toEqual(['a'])
    expect(log).toContainEqual({
      level: 'error',
      message: 'Cannot choose devices of x.org/a: kubelet chooses',
    })
  })
})

test('PreStartContainer does nothing', async () => {
  const { kubelet } = await running()
  await kubelet.preStart('x.org/a', ['a'])
})

test('an observer hears of calls with their time and status, of registrations and of streams', async () => {
  const heard: string[] = []
  const times: number[] = []
  const { kubelet, frontEnd } = await running(
    {
      allocate: async () => {
        throw new AllocationRefused('no')
      },
    },
    {
      observer: {
        onRpc: (method, resource, milliseconds, code) => {
          times.push(milliseconds)
          heard.push(`${method} ${resource} ${code}`)
        },
        onRegistration: (resource, way, accepted) => heard.push(`${way} ${resource} ${accepted}`),
        onStream: (resource, event) => heard.push(`${event} ${resource}`),
      },
    },
  )
  await kubelet.allocateIds('x.org/a', ['a']).catch(() => undefined)
  await until(() => heard.includes('watcher x.org/a true'), 'the registration is heard of')
  await frontEnd.stop()
  expect(heard.sort()).toEqual([
    'Allocate x.org/a FAILED_PRECONDITION',
    'GetDevicePluginOptions x.org/a OK',
    'GetInfo x.org/a OK',
    'ListAndWatch x.org/a OK',
    'NotifyRegistrationStatus x.org/a OK',
    'ended x.org/a',
    'opened x.org/a',
    'sent x.org/a',
    'watcher x.org/a true',
  ])
  expect(times.every((one) => one >= 0)).toBe(true)
})
