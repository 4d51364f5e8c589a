// The end of the front end: streams and sockets are gone, calls that go on may end, those that hang are cut off, and files of others stay.

import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { PluginConnection } from '../../../hack/lab/kubelet/plugin.ts'
import { until } from '../../../hack/lab/until.ts'
import { access, fixedCore, type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

test('a call that goes on gets its answer', async () => {
  bed = kubeletBed()
  await bed.kubelet.start()
  let answer: () => void = () => undefined
  const asked = new Promise<void>((isAsked) => {
    const core = fixedCore({
      allocate: async () => {
        isAsked()
        await new Promise<void>((resolve) => {
          answer = resolve
        })
        return access({ env: { LATE: 'yes' } })
      },
    })
    bed.open({}, core).offer([offer('x.org/a', 'one')])
  })
  await bed.kubelet.wait('x.org/a', { healthy: 1 })
  const connection = await PluginConnection.dial(bed.path('plugins_registry', 'x.org_a.sock'), 'localhost')
  const allocated = connection.allocate(['one'])
  await asked
  const closed = bed.close()
  answer()
  expect((await allocated).envs).toEqual({ LATE: 'yes' })
  connection.close()
  await closed
})

test('hanging calls and readers do not hold it up, its sockets are gone, and files of others stay', async () => {
  bed = kubeletBed()
  const { kubelet, path } = bed
  await kubelet.start()
  const core = fixedCore({ allocate: () => new Promise(() => undefined) })
  const frontEnd = bed.open({ timings: { stop: 50 } }, core)
  const many = Array.from({ length: 3_000 }, (_, index) => `device-${index}`)
  frontEnd.offer([offer('x.org/a', ...many), offer('x.org/b', 'one')])
  await kubelet.wait('x.org/a', { healthy: 3_000 })
  await kubelet.wait('x.org/b', { healthy: 1 })
  await kubelet.hang(true)
  for (let round = 0; round < 20; round++) frontEnd.offer([offer('x.org/a', ...many, String(round))])
  const connection = await PluginConnection.dial(path('plugins_registry', 'x.org_a.sock'), 'localhost')
  const cut = expect(connection.allocate(['device-1'])).rejects.toThrow()
  writeFileSync(path('plugins_registry', 'other.sock'), '')
  await frontEnd.stop()
  await cut
  expect(readdirSync(path('plugins_registry'))).toEqual(['other.sock'])
  expect(frontEnd.status()).toEqual([])
  connection.close()
})

test('a call to offer after the end does nothing, nor does a second end', async () => {
  bed = kubeletBed()
  await bed.kubelet.start()
  const frontEnd = bed.open()
  await frontEnd.stop()
  frontEnd.offer([offer('x.org/a', 'one')])
  await frontEnd.stop()
  expect(frontEnd.status()).toEqual([])
  expect(readdirSync(bed.path('plugins_registry'))).toEqual([])
})

test('an end in the middle of a registration leaves no socket', async () => {
  bed = kubeletBed({ watcher: false })
  await bed.kubelet.start()
  const frontEnd = bed.open()
  frontEnd.offer([offer('x.org/a', 'one'), offer('x.org/b', 'one')])
  const socket = bed.path('device-plugins', 'x.org_a.sock')
  await until(() => existsSync(socket), 'the socket is there')
  await frontEnd.stop()
  expect(readdirSync(bed.path('device-plugins')).filter((name) => name.includes('x.org'))).toEqual([])
})
