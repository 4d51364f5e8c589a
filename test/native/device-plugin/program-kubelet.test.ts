// The compiled vf-device-plugin and a kubelet that comes and goes: restarts on both sides, wiped folders, broken streams, two
// instances, allocations that outlive all of these with their files, and refusals as the event of a pod shows them.
// needs: namespaces, veth

import { existsSync, readdirSync, utimesSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import {
  PF,
  type Program,
  type ProgramBed,
  poolOf,
  programBed,
  textAt,
  withVfs,
} from '../../support/device-plugin/program.ts'

const resource = 'intel.com/net'
const pod = { uid: 'u1', namespace: 'prod', name: 'web' }
let bed: ProgramBed
let plugin: Program
let vfs: readonly string[]

async function serve(watcher = true, args: readonly string[] = []): Promise<void> {
  bed = await programBed({ watcher })
  vfs = withVfs(bed.root, 4)
  bed.configure({ resourceList: [poolOf('net', '0-3')] })
  await bed.kubelet.start()
  plugin = bed.start(args)
  await bed.kubelet.wait(resource, { healthy: vfs })
}
afterEach(() => bed.close())

const known = (count: number) =>
  until(
    async () => (await plugin.value('vf_flower_pool_allocated_devices', { resource })) === count,
    `${count} devices are allocated`,
  )

describe.each([
  ['watcher', true, 'plugins_registry'],
  ['legacy', false, 'device-plugins'],
] as const)('the %s way', (_, watcher, folder) => {
  test('devices come back after a restart of kubelet, wiped folders and broken streams, and allocations survive', async () => {
    await serve(watcher)
    const { ids, response } = await bed.kubelet.allocate(pod, 'main', resource, 1)
    await known(1)
    await bed.kubelet.restart()
    await bed.kubelet.wait(resource, { healthy: vfs, connected: true, messages: 2 })
    expect(await bed.kubelet.allocate(pod, 'main', resource, 1)).toMatchObject({
      ids,
      response,
      replayed: true,
    })
    await known(1)

    await bed.kubelet.wipe(folder, true)
    await bed.kubelet.restart()
    await bed.kubelet.wait(resource, { healthy: vfs, connected: true, messages: 3 })

    await bed.kubelet.dropStreams()
    await bed.kubelet.wait(resource, { healthy: vfs, connected: true, messages: 4 })
    expect((await bed.kubelet.registrations()).filter(({ error }) => error !== undefined)).toEqual([])
  })
})

describe('a restart of the plugin', () => {
  test.each([
    ['SIGTERM', []],
    ['SIGKILL', ['--use-cdi']],
  ] as const)(
    'by %s, flags %j: the same offer, and files stay while a pod has their device',
    async (signal, args) => {
      await serve(true, args)
      bed.root.bind(vfs[0] ?? '', 'vfio-pci')
      for (const name of ['vfio', 'noiommu-64']) bed.root.addDeviceFile(`vfio/${name}`)
      await bed.touch()
      await plugin.shows('vf_flower_device_info', { device: vfs[0] ?? '', driver: 'vfio-pci' }, 1)
      const { ids, response } = await bed.kubelet.allocate(pod, 'main', resource, 1)
      expect(ids).toEqual([vfs[0]])
      await known(1)
      const info = bed.path('dp', `intel.com-net-${ids[0]}-device.json`)
      const cdi = () =>
        readdirSync(bed.path('cdi'))
          .map((name) => textAt(bed.path('cdi', name)) ?? '')
          .join()
      const written = textAt(info)
      expect(JSON.parse(written ?? '')).toMatchObject({ type: 'pci', pci: { 'pci-address': ids[0] } })
      const hasCdi = args.length > 0
      if (hasCdi) {
        expect(response.cdi_devices).toMatchObject([{ name: `intel.com/net-pci=${ids[0]}` }])
        expect(cdi()).toContain(`"${ids[0]}"`)
      }
      plugin.kill(signal)
      await plugin.ended
      expect(textAt(info)).toBe(written)
      if (hasCdi) expect(cdi()).toContain(`"${ids[0]}"`)

      plugin = bed.start(args)
      const again = await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0, connected: true })
      expect(again.messages).toBe(2)
      await known(1)
      // A young file may be of a pod that no list has yet.
      const old = new Date(Date.now() - 3_600_000)
      utimesSync(info, old, old)
      await bed.touch()
      await plugin.shows('vf_flower_events_total', { kind: 'pci' }, 1)
      expect(textAt(info)).toBe(written)
      await bed.kubelet.endPod(pod.uid)
      await known(0)
      await until(() => !existsSync(info), 'the device information is gone')
    },
  )
})

describe('two instances', () => {
  test.each(['by-path', 'refused', 'replace'] as const)(
    'a second one takes over while the first one stops; a kubelet of the kind %s',
    async (second) => {
      bed = await programBed({ second })
      vfs = withVfs(bed.root, 4)
      bed.configure({ resourceList: [poolOf('net', '0-3')] })
      await bed.kubelet.start()
      const first = bed.start(['--instance', 'old'])
      await bed.kubelet.wait(resource, { healthy: vfs })
      plugin = bed.start(['--instance', 'new', '--listen', '127.0.0.1:9116'])
      const socket = (name: string) => existsSync(bed.path('kubelet/plugins_registry', name))
      await until(
        () =>
          readdirSync(bed.path('kubelet/plugins_registry')).filter((name) => !name.startsWith('.')).length ===
          2,
        'both have a socket',
      )
      // Only then may the first one leave.
      await until(async () => (await plugin.get('readyz')).status === 200, 'the second one is ready')
      const way = second === 'refused' ? /kubelet does not register it/ : /kubelet has registered/
      expect(plugin.log().map(({ msg }) => msg)).toContainEqual(expect.stringMatching(way))
      expect(await first.stop()).toEqual({ code: 0, signal: null })
      await bed.kubelet.wait(resource, { healthy: vfs, connected: true })
      expect(socket('intel.com_net~old.sock')).toBe(false)
      await until(async () => (await plugin.get('readyz')).status === 200, 'the second one is ready')
      await bed.kubelet.wait(resource, { healthy: vfs, unhealthy: 0 })
      // The newest kubelets tell streams apart: there was one at any time.
      const lost = plugin.log().filter(({ msg }) => /watches intel\.com\/net no more/.test(msg))
      if (second === 'by-path') expect(lost).toEqual([])
      expect((await bed.kubelet.allocate(pod, 'main', resource, 1)).ids).toHaveLength(1)
    },
  )
})

describe('refusals of Allocate', () => {
  beforeEach(() => serve())
  /** The words of a refusal. Resolves after the scan that it leads to, which would see what comes next, too. */
  const refusal = async (...ids: readonly string[]) => {
    const began = Date.now()
    const words = await bed.kubelet.allocateIds(resource, ids).then(
      () => 'none',
      (error: Error) => error.message,
    )
    const scanned = async () => (await plugin.value('vf_flower_last_scan_timestamp_seconds')) * 1_000
    await until(async () => (await scanned()) >= began, 'the scan after a refusal')
    return words
  }

  test('name the device and the reason in one sentence', async () => {
    const [first = '', second = '', third = '', fourth = ''] = vfs
    const words = (id: string, reason: string) =>
      `rpc error: code = FailedPrecondition desc = Cannot give "${id}" to a container: ${reason}`
    expect(await refusal('0000:ff:00.0')).toBe(
      words('0000:ff:00.0', '"intel.com/net" does not have it any more'),
    )
    bed.root.bind(second, 'vfio-pci')
    expect(await refusal(first, second)).toBe(
      words(second, 'it has driver vfio-pci now, and was chosen with driver igbvf'),
    )
    bed.root.unbind(third)
    expect(await refusal(third)).toBe(words(third, 'it has no driver now, and was chosen with driver igbvf'))
    bed.root.setVfs(PF, 0)
    expect(await refusal(fourth)).toBe(words(fourth, 'it is not on the node any more'))
    // The refusal leads to a scan without any event of the kernel.
    await bed.kubelet.wait(resource, { healthy: 0, unhealthy: 0, connected: true })
    await plugin.shows(
      'vf_flower_rpc_total',
      { resource, method: 'Allocate', code: 'FAILED_PRECONDITION' },
      4,
    )
    expect(
      plugin
        .log()
        .filter(({ level }) => level === 'warning')
        .map(({ msg }) => msg),
    ).toContainEqual(expect.stringContaining(`Cannot give "${fourth}" to a container`))
  })
})
