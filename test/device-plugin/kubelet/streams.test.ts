// ListAndWatch: the list at once on each connection, one message for each change and none without one, a queue of one for a reader that
// is slow, and streams that do not disturb each other.

import { afterEach, describe, expect, test } from 'vitest'
import { PluginConnection } from '../../../hack/lab/kubelet/plugin.ts'
import type { WireDevice } from '../../../hack/lab/kubelet/wire.ts'
import { until } from '../../../hack/lab/until.ts'
import { device, type KubeletBed, kubeletBed, offer } from '../../support/kubelet-bed.ts'

let bed: KubeletBed
afterEach(() => bed.close())

const running = async () => {
  bed = kubeletBed()
  await bed.kubelet.start()
  const frontEnd = bed.open()
  return { ...bed, frontEnd }
}

/** A reader beside kubelet, with all lists that it got. */
async function reader(path: string) {
  const connection = await PluginConnection.dial(path, 'localhost')
  const lists: (readonly WireDevice[])[] = []
  let end: string | undefined
  connection.watch(
    (list) => lists.push(list),
    (reason) => {
      end = reason
    },
  )
  return { connection, lists, end: () => end }
}

describe('ListAndWatch', () => {
  test('sends ids, health and NUMA nodes', async () => {
    const { kubelet, frontEnd } = await running()
    frontEnd.offer([offer('x.org/a', device('a', undefined, 1), device('b', 'carrier', 0), device('c'))])
    const { devices } = await kubelet.wait('x.org/a', { healthy: 2, unhealthy: 1 })
    expect(devices).toEqual([
      { id: 'a', healthy: true, numa: 1 },
      { id: 'b', healthy: false, numa: 0 },
      { id: 'c', healthy: true },
    ])
  })

  test('sends one message for each change of a pool, and nothing to the other pools', async () => {
    const { kubelet, frontEnd } = await running()
    const other = offer('x.org/other', 'o')
    frontEnd.offer([offer('x.org/a', 'one'), other])
    await kubelet.wait('x.org/a', { healthy: ['one'] })
    await kubelet.wait('x.org/other', { healthy: ['o'] })
    const changes = [
      [device('one'), device('two')],
      [device('one'), device('two', 'driver')],
      // Another reason is no change for kubelet, nor is the same list.
      [device('one'), device('two', 'dirty')],
      [device('one'), device('two', 'dirty')],
      [device('one', undefined, 1), device('two', 'dirty')],
      [],
      [device('last')],
    ]
    for (const [index, devices] of changes.entries()) {
      frontEnd.offer([offer('x.org/a', ...devices), other])
      const messages = [2, 3, 3, 3, 4, 5, 6][index] ?? 0
      await kubelet.wait('x.org/a', { messages })
    }
    expect((await kubelet.wait('x.org/a', { healthy: ['last'] })).messages).toBe(6)
    expect((await kubelet.devices('x.org/other'))?.messages).toBe(1)
  })

  test('leaves out ids that are longer than the API allows, and says so', async () => {
    const { kubelet, frontEnd, log } = await running()
    frontEnd.offer([offer('x.org/a', 'x'.repeat(63), 'y'.repeat(64))])
    await kubelet.wait('x.org/a', { healthy: ['x'.repeat(63)] })
    expect(log.map(({ message }) => message)).toContain(
      `Cannot offer ${'y'.repeat(64)}: an id must have at most 63 characters`,
    )
  })

  test('keeps only the newest list for a reader that does not read', async () => {
    const { kubelet, frontEnd } = await running()
    const many = (round: number) => Array.from({ length: 1_000 }, (_, index) => `${round}-${index}`)
    frontEnd.offer([offer('x.org/a', ...many(0))])
    await kubelet.wait('x.org/a', { healthy: 1_000 })
    await kubelet.hang(true)
    for (let round = 1; round <= 200; round++) {
      frontEnd.offer([offer('x.org/a', ...many(round))])
      // Each list has its chance to be sent.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await kubelet.hang(false)
    const { messages } = await kubelet.wait('x.org/a', { healthy: many(200) })
    // Those that fit into the buffers between the two, of 200.
    expect(messages).toBeLessThan(50)
  })
})

test('each reader has a stream of its own, and its end is nobody else’s', async () => {
  const { kubelet, frontEnd, path } = await running()
  frontEnd.offer([offer('x.org/a', 'one')])
  await kubelet.wait('x.org/a', { healthy: ['one'] })
  const second = await reader(path('plugins_registry', 'x.org_a.sock'))
  await until(() => second.lists.length === 1, 'the second reader has the list')
  expect(frontEnd.status()[0]?.streams).toBe(2)
  frontEnd.offer([offer('x.org/a', 'two')])
  await until(() => second.lists.length === 2, 'the second reader has the change')
  await kubelet.wait('x.org/a', { healthy: ['two'] })
  second.connection.close()
  await until(() => frontEnd.status()[0]?.streams === 1, 'its stream is over')
  frontEnd.offer([offer('x.org/a', 'three')])
  await kubelet.wait('x.org/a', { healthy: ['three'], connected: true })
  expect(frontEnd.status()[0]).toMatchObject({ registered: true, streams: 1 })
})

test('a pool that is offered no more ends its stream and its socket; the others go on', async () => {
  const { kubelet, frontEnd } = await running()
  frontEnd.offer([offer('x.org/a', 'one'), offer('x.org/b', 'two')])
  await kubelet.wait('x.org/a', { healthy: 1 })
  await kubelet.wait('x.org/b', { healthy: 1 })
  frontEnd.offer([offer('x.org/b', 'two')])
  await kubelet.wait('x.org/a', { unhealthy: 1, connected: false })
  expect(await kubelet.devices('x.org/b')).toMatchObject({ messages: 1, connected: true })
  expect(frontEnd.status().map(({ resource }) => resource)).toEqual(['x.org/b'])
  frontEnd.offer([offer('x.org/a', 'again'), offer('x.org/b', 'two')])
  await kubelet.wait('x.org/a', { healthy: ['again'], connected: true })
  expect(await kubelet.devices('x.org/b')).toMatchObject({ messages: 1, connected: true })
})
