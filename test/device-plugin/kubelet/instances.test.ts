// Two processes on one node, as in an upgrade with surge: each has its socket, the second takes over when the first leaves, whatever
// kubelet's age; neither removes the other's socket, and without instance names the newest has the socket and the older one yields.

import { existsSync, linkSync, renameSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../../hack/lab/until.ts'
import { type KubeletBed, kubeletBed, offer, quick } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

describe.each([
  ['refused', true],
  ['replace', true],
  ['by-path', true],
  ['refused', false],
  ['replace', false],
] as const)('a kubelet that has a second socket %s (watcher: %s)', (second, watcher) => {
  test('has the devices of the second process when the first leaves', async () => {
    bed = kubeletBed({ second, watcher })
    const { kubelet, path } = bed
    const folder = watcher ? 'plugins_registry' : 'device-plugins'
    await kubelet.start()
    const old = bed.open({ instance: 'old' })
    old.offer([offer('x.org/a', 'one')])
    await kubelet.wait('x.org/a', { healthy: ['one'] })
    const next = bed.open({ instance: 'next' })
    next.offer([offer('x.org/a', 'one', 'two')])
    await until(() => existsSync(path(folder, 'x.org_a~next.sock')), 'the second socket is there')
    if (second === 'refused')
      await until(() => next.status()[0]?.problem?.includes('already registered') === true, 'it is refused')
    else await kubelet.wait('x.org/a', { healthy: 2 })
    expect(next.status()[0]?.standby).toBe(second === 'refused')
    expect(existsSync(path(folder, 'x.org_a~old.sock'))).toBe(true)
    await old.stop()
    await kubelet.wait('x.org/a', { healthy: ['one', 'two'], connected: true })
    expect(existsSync(path(folder, 'x.org_a~old.sock'))).toBe(false)
    expect(existsSync(path(folder, 'x.org_a~next.sock'))).toBe(true)
    await until(() => next.status()[0]?.streams === 1, 'the second process has the stream')
    expect(next.status()[0]?.standby).toBe(false)
  })
})

/** No timer of the second process leads it back. */
const patient = { ...quick, streamWait: 600_000, backoffMin: 600_000, backoffMax: 600_000 }

describe.each([['plugins_registry', true] as const, ['device-plugins', false] as const])(
  'in %s',
  (_, watcher) => {
    test('the second process comes back by the leaving of the first, which ends its stream too', async () => {
      bed = kubeletBed({ watcher })
      const { kubelet } = bed
      await kubelet.start()
      const old = bed.open({ instance: 'old' })
      old.offer([offer('x.org/a', 'one')])
      await kubelet.wait('x.org/a', { healthy: ['one'] })
      const next = bed.open({ instance: 'next', timings: patient })
      next.offer([offer('x.org/a', 'one', 'two')])
      await kubelet.wait('x.org/a', { healthy: 2 })
      await old.stop()
      await kubelet.wait('x.org/a', { healthy: 2, messages: 3, connected: true })
      await until(() => next.status()[0]?.streams === 1, 'the second process has a stream again')
    })
  },
)

test('a process that sees another leave before its own stream ends comes back as soon', async () => {
  bed = kubeletBed({ watcher: false })
  const { kubelet, path } = bed
  await kubelet.start()
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(path('device-plugins', 'x.org_a~old.sock'), resolve))
  const next = bed.open({ instance: 'next', timings: patient })
  next.offer([offer('x.org/a', 'one')])
  await kubelet.wait('x.org/a', { healthy: ['one'] })
  await new Promise((resolve) => other.close(resolve))
  // The loss of its own socket, which comes back, shows that it has looked at the folder since.
  await kubelet.removeSockets('device-plugins')
  await until(() => existsSync(path('device-plugins', 'x.org_a~next.sock')), 'its own socket is there again')
  await kubelet.dropStreams()
  await kubelet.wait('x.org/a', { healthy: ['one'], connected: true })
})

test('without instance names the newest process has the socket; the older one yields and leaves it alone', async () => {
  bed = kubeletBed()
  const { kubelet, path } = bed
  await kubelet.start()
  const old = bed.open()
  old.offer([offer('x.org/a', 'one')])
  await kubelet.wait('x.org/a', { healthy: ['one'] })
  const next = bed.open()
  next.offer([offer('x.org/a', 'two')])
  await kubelet.wait('x.org/a', { healthy: ['two'], connected: true })
  const socket = path('plugins_registry', 'x.org_a.sock')
  const { ino } = statSync(socket)
  await until(() => old.status()[0]?.problem === `another process serves ${socket}`, 'the older one says so')
  await old.stop()
  expect(statSync(socket).ino).toBe(ino)
  expect(await kubelet.devices('x.org/a')).toMatchObject({ connected: true })
  expect(next.status()[0]).toMatchObject({ streams: 1, problem: undefined })
})

test('a dead socket in the place of ours, as a killed process leaves it, is replaced', async () => {
  bed = kubeletBed()
  const { kubelet, path } = bed
  await kubelet.start()
  const frontEnd = bed.open()
  frontEnd.offer([offer('x.org/a', 'one')])
  await kubelet.wait('x.org/a', { healthy: ['one'] })
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path('first-name'), resolve))
  // A listener that is closed removes its first name only.
  linkSync(path('first-name'), path('dead'))
  await new Promise((resolve) => server.close(resolve))
  renameSync(path('dead'), path('plugins_registry', 'x.org_a.sock'))
  await kubelet.wait('x.org/a', { healthy: ['one'], connected: true, messages: 2 })
  expect(frontEnd.status()[0]?.problem).toBe(undefined)
})
