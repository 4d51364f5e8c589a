// The compiled vf-device-plugin as a DaemonSet starts it: a file of the operator, both ways to register, pools without devices, its
// pages of metrics and probes, and its exit codes.
// needs: namespaces, veth

import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import { readExposition } from '../../device-plugin/observe/exposition.ts'
import { PF, type ProgramBed, poolOf, programBed, withVfs } from '../../support/device-plugin/program.ts'
import { at, content, list, podSpec } from '../../support/kubernetes/manifests.ts'

let bed: ProgramBed
afterEach(() => bed.close())

/** As the operator writes it: keys of Go's fields without tags, and null for lists that are empty. */
const ofOperator = {
  resourceList: [
    {
      resourceName: 'net',
      selectors: {
        ...{ vendors: ['8086'], rootDevices: [`${PF}#0-1`], pfNames: null },
        ...{ IsRdma: false, NeedVhostNet: false },
      },
      SelectorObjs: null,
    },
    { resourceName: 'later', selectors: [{ drivers: ['vfio-pci'], IsRdma: false }], SelectorObj: null },
  ],
}
const pod = { uid: 'u1', namespace: 'prod', name: 'web' }

describe.each([
  ['watcher', true],
  ['legacy', false],
] as const)('the file of an operator, the %s way', (way, watcher) => {
  test('is served, its empty pool too', async () => {
    bed = await programBed({ watcher })
    const [first = '', second = ''] = withVfs(bed.root, 4)
    bed.configure(ofOperator)
    await bed.kubelet.start()
    const plugin = bed.start()
    const set = await bed.kubelet.wait('intel.com/net', { healthy: [first, second], connected: true })
    expect(set.devices.map(({ numa }) => numa)).toEqual([1, 1])
    await bed.kubelet.wait('intel.com/later', { healthy: 0, unhealthy: 0, connected: true, messages: 1 })
    const attempts = await bed.kubelet.registrations()
    expect(attempts.map((one) => [one.way, one.error])).toEqual([
      [way, undefined],
      [way, undefined],
    ])
    await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
    expect(await plugin.stop()).toEqual({ code: 0, signal: null })
  })
})

test('with the instance and the capabilities of its manifest it serves, and says what it says with all capabilities', async () => {
  const container = list(podSpec(content('base/device-plugin/daemonset.yaml')), 'containers')[0]
  const capabilities = at(container, 'securityContext', 'capabilities', 'add') as readonly string[]
  const set = ['-all', ...capabilities.map((one) => `+${one.toLowerCase()}`)].join(',')
  const own = (at(container, 'args') as readonly string[]).find((one) => one.startsWith('--instance'))
  const uid = '2f3a6c1e-7d0b-4b3e-9a53-0d6f1c2b4e5a'
  bed = await programBed({ watcher: true })
  const [first = '', second = ''] = withVfs(bed.root, 2)
  bed.configure({ resourceList: [poolOf('net', '0-1')] })
  await bed.kubelet.start()
  const said = async (before: readonly string[]) => {
    const plugin = bed.start([String(own).replace('$(POD_UID)', uid)], {}, before)
    await bed.kubelet.wait('intel.com/net', { healthy: [first, second], connected: true })
    await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
    expect(await plugin.value('vf_flower_pool_devices', { resource: 'intel.com/net' })).toBe(2)
    const lines = plugin.log().filter(({ level }) => level !== 'info')
    expect(await plugin.stop()).toEqual({ code: 0, signal: null })
    return lines.map(({ msg }) => msg)
  }
  expect(await said(['setpriv', `--bounding-set=${set}`, '--inh-caps=-all'])).toEqual(await said([]))
})

describe('without pools', () => {
  test.each([['{"resourceList":null}'], ['{"resourceList":[]}'], ['{}']])(
    '%s: waits for a file with some',
    async (text) => {
      bed = await programBed()
      const [first = ''] = withVfs(bed.root, 1)
      bed.configure(text)
      await bed.kubelet.start()
      const plugin = bed.start()
      await plugin.logged(/^The config is in use; pools: 0/)
      await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
      expect(await bed.kubelet.resources()).toEqual([])
      bed.configure({ resourceList: [poolOf('net', '0')] })
      await bed.kubelet.wait('intel.com/net', { healthy: [first] })
    },
  )
})

describe('pages', () => {
  test('metrics are in the format of Prometheus, and name the pod of a device', async () => {
    bed = await programBed()
    const [first = ''] = withVfs(bed.root, 2)
    bed.configure({ resourceList: [poolOf('net', '0-1')] })
    await bed.kubelet.start()
    const plugin = bed.start()
    await bed.kubelet.wait('intel.com/net', { healthy: 2 })
    const resource = 'intel.com/net'
    const { ids } = await bed.kubelet.allocate(pod, 'main', resource, 1)
    expect(ids).toEqual([first])
    const labels = { resource, device: first, namespace: 'prod', pod: 'web', container: 'main' }
    await until(
      async () => (await plugin.value('vf_flower_device_info', labels)) === 1,
      'the device has its pod',
    )
    const page = await plugin.get('metrics')
    expect(page.status).toBe(200)
    expect(page.type).toMatch(/^text\/plain; version=0\.0\.4/)
    const families = readExposition(page.body)
    const value = (name: string, wanted: Readonly<Record<string, string>> = {}) =>
      [...families.values()]
        .flatMap((one) => one.samples)
        .filter((one) => one.name === name && Object.entries(wanted).every(([k, v]) => one.labels[k] === v))
        .map((one) => one.value)
    expect(value('vf_flower_pool_devices', { resource })).toEqual([2])
    expect(value('vf_flower_pool_allocated_devices', { resource })).toEqual([1])
    expect(value('vf_flower_pool_streams', { resource })).toEqual([1])
    expect(value('vf_flower_config_reload_failed')).toEqual([0])
    expect(value('vf_flower_allocation_source', { source: 'podresources' })).toEqual([1])
    expect(value('vf_flower_rpc_total', { resource, method: 'Allocate', code: 'OK' })).toEqual([1])

    expect(await plugin.get('healthz')).toMatchObject({ status: 200, body: 'ok\n' })
    expect((await plugin.get('nothing')).status).toBe(404)
    expect((await plugin.get('metrics', 'POST')).status).toBe(405)
    await bed.kubelet.endPod(pod.uid)
    await until(
      async () => (await plugin.value('vf_flower_pool_allocated_devices', { resource })) === 0,
      'the device is free',
    )
    expect(await plugin.samples('vf_flower_device_info', { pod: 'web' })).toEqual([])
  })

  test('readiness says what is missing', async () => {
    bed = await programBed()
    withVfs(bed.root, 1)
    bed.configure({ resourceList: [poolOf('net', '0')] })
    const plugin = bed.start()
    const unready = await until(async () => {
      const page = await plugin.get('readyz').catch(() => undefined)
      return page?.body.includes('intel.com/net') === true && page
    }, 'the pool is missing')
    expect(unready).toMatchObject({ status: 503 })
    expect(unready.body).toMatch(/intel\.com\/net: not registered with kubelet/)
    expect((await plugin.get('healthz')).status).toBe(200)
    await bed.kubelet.start()
    await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
  })
})

describe('the end', () => {
  test('code 3 for a config with a mistake, which the log has with line and key', async () => {
    bed = await programBed()
    bed.configure('{\n "resourceList": [\n  {"resourceName": "a b", "selectors": [{}]}\n ]\n}\n')
    const plugin = bed.start()
    expect(await plugin.ended).toEqual({ code: 3, signal: null })
    expect(plugin.log().filter(({ level }) => level === 'error')).toMatchObject([
      { msg: expect.stringMatching(/line 3, column 20: resourceList\[0\]\.resourceName is "a b"; must be/) },
    ])
  })

  test('a file that is missing is waited for', async () => {
    bed = await programBed()
    const [first = ''] = withVfs(bed.root, 1)
    await bed.kubelet.start()
    const plugin = bed.start()
    await plugin.logged(/Cannot read .*config\.json/)
    const page = await until(async () => {
      const one = await plugin.get('readyz').catch(() => undefined)
      return one !== undefined && one
    }, 'it answers')
    expect(page.status).toBe(503)
    expect(page.body).toMatch(/config: Cannot read/)
    bed.configure({ resourceList: [poolOf('net', '0')] })
    await bed.kubelet.wait('intel.com/net', { healthy: [first] })
    await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
    expect(await plugin.stop()).toEqual({ code: 0, signal: null })
  })

  test.each(['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)(
    '%s ends it with code 0 although a kubelet hangs',
    async (signal) => {
      bed = await programBed()
      withVfs(bed.root, 2)
      bed.configure({ resourceList: [poolOf('one', '0'), poolOf('two', '1')] })
      await bed.kubelet.start()
      const plugin = bed.start()
      await bed.kubelet.wait('intel.com/one', { healthy: 1 })
      await bed.kubelet.wait('intel.com/two', { healthy: 1 })
      await bed.kubelet.hang(true)
      const began = Date.now()
      plugin.kill(signal)
      expect(await plugin.ended).toEqual({ code: 0, signal: null })
      // kubelet gives 30 s; a busy machine may need some of them.
      expect(Date.now() - began).toBeLessThan(20_000)
    },
  )
})
