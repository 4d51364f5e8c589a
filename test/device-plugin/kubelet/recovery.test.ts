// Pools come back by themselves: after restarts of kubelet, broken streams, registrations without a stream, removed sockets, wiped and
// removed folders, in both ways to register. Devices are healthy again and pods keep theirs.

import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import { type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

const ids = ['one', 'two']
const running = async (watcher: boolean) => {
  bed = kubeletBed({ watcher })
  await bed.kubelet.start()
  const frontEnd = bed.open()
  frontEnd.offer([offer('x.org/a', ...ids)])
  await bed.kubelet.wait('x.org/a', { healthy: ids, connected: true })
  return { ...bed, frontEnd }
}

describe.each([
  ['watcher', true, 'plugins_registry'],
  ['legacy', false, 'device-plugins'],
] as const)('the %s way', (_, watcher, folder) => {
  test('survives restarts of kubelet, one after the other', async () => {
    const { kubelet, frontEnd, path } = await running(watcher)
    for (let round = 0; round < 3; round++) {
      await kubelet.restart()
      await kubelet.wait('x.org/a', { healthy: ids, connected: true })
    }
    await until(() => frontEnd.status()[0]?.registered === true, 'it is registered')
    expect(frontEnd.status()).toMatchObject([{ streams: 1, problem: undefined }])
    expect(existsSync(path(folder, 'x.org_a.sock'))).toBe(true)
  })

  test('survives a kubelet that is away for a while', async () => {
    const { kubelet, frontEnd } = await running(watcher)
    await kubelet.stop()
    await until(() => frontEnd.status()[0]?.problem !== undefined, 'the problem is told')
    expect(frontEnd.status()).toMatchObject([{ registered: false, streams: 0 }])
    await kubelet.start()
    await kubelet.wait('x.org/a', { healthy: ids, connected: true })
  })

  test('registers again after a stream that broke', async () => {
    const { kubelet } = await running(watcher)
    await kubelet.dropStreams()
    expect((await kubelet.devices('x.org/a'))?.devices.every(({ healthy }) => !healthy)).toBe(true)
    await kubelet.wait('x.org/a', { healthy: ids, connected: true })
  })

  test('registers again when kubelet accepts and opens no stream', async () => {
    bed = kubeletBed({ watcher })
    await bed.kubelet.ignore(2)
    await bed.kubelet.start()
    const frontEnd = bed.open()
    frontEnd.offer([offer('x.org/a', ...ids)])
    await bed.kubelet.wait('x.org/a', { healthy: ids, connected: true })
    await until(() => frontEnd.status()[0]?.problem === undefined, 'the problem is over')
    expect(await bed.kubelet.registrations()).toHaveLength(3)
  })

  test('makes a socket again that was removed, and stays registered or becomes so', async () => {
    const { kubelet, frontEnd, path, log } = await running(watcher)
    const socket = path(folder, 'x.org_a.sock')
    await kubelet.removeSockets(folder)
    await until(() => existsSync(socket), 'the socket is there again')
    expect(log.map(({ message }) => message)).toContain(`${socket} was gone; it is back`)
    await kubelet.wait('x.org/a', { healthy: ids, connected: true, ...(watcher ? { messages: 2 } : {}) })
    // kubelet reaches the new socket: a stream that breaks comes back by it.
    await kubelet.dropStreams()
    await kubelet.wait('x.org/a', { healthy: ids, connected: true })
    expect(frontEnd.status()).toMatchObject([{ streams: 1 }])
  })

  test('makes its socket again in a folder that was removed and made anew, for the next kubelet', async () => {
    const { kubelet, path } = await running(watcher)
    for (let round = 0; round < 3; round++) {
      await kubelet.wipe(folder, true)
      await until(() => existsSync(path(folder, 'x.org_a.sock')), 'the socket is in the new folder')
    }
    await kubelet.restart()
    await kubelet.wait('x.org/a', { healthy: ids, connected: true })
  })

  test('survives the loss of all of kubelet’s folders', async () => {
    const { kubelet, path, root, frontEnd } = await running(watcher)
    await kubelet.stop()
    rmSync(root, { recursive: true })
    await until(() => frontEnd.status()[0]?.problem?.startsWith('there is neither') === true, 'it says so')
    mkdirSync(root)
    await kubelet.start()
    await kubelet.wait('x.org/a', { healthy: ids, connected: true })
    expect(existsSync(path(folder, 'x.org_a.sock'))).toBe(true)
  })
})

test('a socket that was removed does not end a stream that lives', async () => {
  const { kubelet, path } = await running(false)
  rmSync(path('device-plugins', 'x.org_a.sock'))
  await until(() => existsSync(path('device-plugins', 'x.org_a.sock')), 'the socket is there again')
  expect(await kubelet.devices('x.org/a')).toMatchObject({ messages: 1, connected: true })
})

test('many losses leave nothing open', async () => {
  const { kubelet, path } = await running(true)
  const open = () => statSync('/proc/self/fd').size
  const lose = async () => {
    const { messages = 0 } = (await kubelet.devices('x.org/a')) ?? {}
    rmSync(path('plugins_registry', 'x.org_a.sock'))
    await kubelet.wait('x.org/a', { healthy: ids, connected: true, messages: messages + 1 })
  }
  for (let round = 0; round < 5; round++) await lose()
  const before = open()
  for (let round = 0; round < 20; round++) await lose()
  // Linux has the number of open files as the size of this folder.
  await until(() => open() <= before + 4, 'no more files are open than before')
})
