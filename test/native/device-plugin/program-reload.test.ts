// The compiled vf-device-plugin follows its config: as kubelet swaps a ConfigMap, on SIGHUP, and with mistakes. Pools that stay as they
// are keep their sockets and streams.
// needs: namespaces, veth

import { existsSync, mkdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import {
  type Program,
  type ProgramBed,
  poolOf,
  programBed,
  withVfs,
} from '../../support/device-plugin/program.ts'

let bed: ProgramBed
let plugin: Program
let vfs: readonly string[]

beforeEach(async () => {
  bed = await programBed()
  vfs = withVfs(bed.root, 4)
  await bed.kubelet.start()
})
afterEach(() => bed.close())

const socketOf = (name: string) => bed.path('kubelet/plugins_registry', `intel.com_${name}.sock`)
const inode = (name: string) => statSync(socketOf(name)).ino
const messages = async (name: string) => (await bed.kubelet.devices(`intel.com/${name}`))?.messages

/** Writes a ConfigMap's folder as kubelet does: a folder with a time in its name, and a link `..data` that is swapped by a rename. */
function volume(version: number, text: string): void {
  const [folder, link] = [`..2026_11_28_${version}`, bed.path('volume/..data')]
  mkdirSync(bed.path('volume', folder), { recursive: true })
  writeFileSync(bed.path('volume', folder, 'config.json'), text)
  symlinkSync(folder, `${link}_tmp`)
  renameSync(`${link}_tmp`, link)
  if (!existsSync(bed.path('volume/config.json')))
    symlinkSync('..data/config.json', bed.path('volume/config.json'))
}
const filed = (...pools: readonly object[]) => JSON.stringify({ resourceList: pools })

test('a swapped ConfigMap: each pool is touched only as far as it has changed', async () => {
  volume(1, filed(poolOf('same', '0'), poolOf('grows', '1'), poolOf('goes', '3')))
  plugin = bed.start(['--config-file', bed.path('volume/config.json')])
  for (const name of ['same', 'grows', 'goes']) await bed.kubelet.wait(`intel.com/${name}`, { healthy: 1 })
  const before = [inode('same'), inode('grows')]

  volume(2, filed(poolOf('same', '0'), poolOf('grows', '1-2'), poolOf('comes', '3')))
  await bed.kubelet.wait('intel.com/comes', { healthy: [vfs[3] ?? ''] })
  await bed.kubelet.wait('intel.com/grows', { healthy: vfs.slice(1, 3), connected: true })
  await bed.kubelet.wait('intel.com/goes', { connected: false })
  await until(() => !existsSync(socketOf('goes')), 'the socket of the pool that goes is gone')
  expect([inode('same'), inode('grows')]).toEqual(before)
  expect([await messages('same'), await messages('grows')]).toEqual([1, 2])
  const attempts = await bed.kubelet.registrations()
  expect(attempts.map((one) => one.resource.slice('intel.com/'.length)).sort()).toEqual([
    ...['comes', 'goes', 'grows', 'same'],
  ])
  await plugin.shows('vf_flower_config_generation', {}, 2)
  const { body } = await plugin.get('metrics')
  const pools = new Set([...body.matchAll(/resource="intel\.com\/(\w+)"/g)].map(([, name]) => name))
  expect([...pools].sort()).toEqual(['comes', 'grows', 'same'])
})

test('SIGHUP reads the file again, in which nothing may have changed', async () => {
  bed.configure({ resourceList: [poolOf('same', '0')] })
  plugin = bed.start()
  await bed.kubelet.wait('intel.com/same', { healthy: 1 })
  const before = inode('same')
  plugin.kill('SIGHUP')
  await plugin.logged(/^SIGHUP/)
  bed.configure({ resourceList: [poolOf('same', '0'), poolOf('more', '1')] })
  plugin.kill('SIGHUP')
  await bed.kubelet.wait('intel.com/more', { healthy: 1 })
  expect([inode('same'), await messages('same')]).toEqual([before, 1])
  await plugin.shows('vf_flower_config_generation', {}, 2)
})

test('a file with a mistake changes nothing, and shows in the log, the metrics and the readiness until it is mended', async () => {
  bed.configure({ resourceList: [poolOf('same', '0')] })
  plugin = bed.start()
  await bed.kubelet.wait('intel.com/same', { healthy: 1 })
  await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready')
  const before = inode('same')
  bed.configure({ resourceList: [poolOf('same', '1', { resett: 1, reset: 'pm' })] })
  await plugin.logged(/the former one stays in use: .*reset is "pm"; must be "none" or "flr"/)
  await plugin.shows('vf_flower_config_reload_failed', {}, 1)
  const page = await plugin.get('readyz')
  expect(page.status).toBe(503)
  expect(page.body).toMatch(/config: .*reset is "pm"/)
  expect((await plugin.get('healthz')).status).toBe(200)
  await bed.touch()
  expect((await bed.kubelet.devices('intel.com/same'))?.devices.map(({ id }) => id)).toEqual([vfs[0]])

  bed.configure({ resourceList: [poolOf('same', '0')] })
  await until(async () => (await plugin.get('readyz')).status === 200, 'it is ready again')
  await plugin.shows('vf_flower_config_reload_failed', {}, 0)
  expect([inode('same'), await messages('same')]).toEqual([before, 1])
})

test('a pool that a pod has a device of goes, and its device is known until the pod ends when the pool comes back', async () => {
  bed.configure({ resourceList: [poolOf('net', '0-1')] })
  plugin = bed.start()
  await bed.kubelet.wait('intel.com/net', { healthy: 2 })
  const pod = { uid: 'u', namespace: 'prod', name: 'web' }
  await bed.kubelet.allocate(pod, 'main', 'intel.com/net', 1)
  bed.configure({ resourceList: [poolOf('other', '0-3')] })
  // The device of the pod is not given away a second time under another name.
  await bed.kubelet.wait('intel.com/other', { healthy: vfs.slice(1) })
  await plugin.logged(
    /is not offered as intel\.com\/other: the pod prod\/web has the device as intel\.com\/net/,
  )
  await bed.kubelet.endPod(pod.uid)
  await bed.kubelet.wait('intel.com/other', { healthy: vfs })
})
