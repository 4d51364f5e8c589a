// The watch of the node as compiled, over the notifications of a real kernel: uevents that the kernel sends for the test, interfaces of
// pods, storms, and sockets that overrun.
// needs: veth, bridge
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { argvOf, drive, probe } from '../../../hack/lab/driver/client.ts'
import type { Lab } from '../../../hack/lab/lab.ts'
import { lab } from '../../support/lab.ts'
import { startWatch, type Watcher } from '../../support/watcher.ts'

const vf = {
  action: 'add',
  path: '/devices/pci0000:00/0000:01:10.%',
  fields: { SUBSYSTEM: 'pci', PCI_CLASS: '20000' },
}
const disk = { ...vf, fields: { SUBSYSTEM: 'pci', PCI_CLASS: '10802' } }

let vm: Lab
let watch: Watcher

beforeAll(async () => {
  vm = await lab()
  watch = await startWatch(vm)
})
afterAll(async () => {
  await watch.stop()
  await vm.must('ip link del wv0 2>/dev/null || true')
})
beforeEach(() => watch.clear())

const inject = (events: Parameters<typeof probe<'injectUevents'>>[1], times = 1) =>
  drive(vm, [probe('injectUevents', events, times)])
const signal = (name: string) => vm.must(`kill -${name} ${watch.pid}`)

/** Lets everything that has been sent be read, and any window close: a uevent behind it was seen. */
async function drained(): Promise<void> {
  const end = { ...vf, path: '/devices/end', fields: { SUBSYSTEM: 'vdpa' } }
  await inject([end])
  await watch.until('vdpa')
}

test('all three sockets are open', async () => {
  expect((await watch.measure()).stats).toMatchObject({ sockets: 3, lost: 0 })
})

test('a uevent of a VF is one call with its name; one of a disk is none', async () => {
  await inject([disk, vf])
  await watch.until('pci')
  expect(watch.changes()).toEqual([
    { total: 1, counts: { pci: 1 }, subjects: ['pci add 0000:01:10.0'], isFull: false },
  ])
})

describe('interfaces of pods', () => {
  test('have uevents that the kernel drops before they wake the watch', async () => {
    await drained()
    watch.clear()
    const before = (await watch.measure()).stats
    const actions = ['add', 'remove', 'change', 'move', 'bind', 'unbind', 'online', 'offline']
    const fields = { SUBSYSTEM: 'net' }
    const paths = ['/devices/virtual/net/veth%', '/devices/virtual/net/veth%/queues/tx-0']
    await inject(
      actions.flatMap((action) => paths.map((path) => ({ action, path, fields }))),
      100,
    )
    await drained()
    const { stats } = await watch.measure()
    // The one that drained() waits for.
    expect(stats.received - before.received).toBe(1)
  })

  test('come, change and go without a call', async () => {
    const before = (await watch.measure()).stats
    await vm.must(`
      ip link add wb0 type bridge
      for n in 1 2 3 4 5; do
        ip link add wv0 type veth peer name wv1
        ip link set wv0 master wb0; ip link set wv0 up; ip link set wv1 up; ip addr add 192.0.2.1/24 dev wv1
        ip route add 198.51.100.0/24 dev wv1; ip link set wv1 mtu 1400; echo change >/sys/class/net/wv0/uevent
        ip link del wv0
      done
      ip link del wb0`)
    await drained()
    const { stats } = await watch.measure()
    expect(watch.changes()).toMatchObject([{ counts: { vdpa: 1 }, total: 1 }])
    expect(stats.received - before.received).toBeGreaterThan(40)
  })

  test('do not hide a default route whose next hop is an object', async () => {
    await vm.must(`
      ip link add wv0 type veth peer name wv1; ip link set wv0 up; ip link set wv1 up
      ip nexthop add id 7 dev wv0; ip route add default nhid 7`)
    await watch.until('route')
    await vm.must('ip link del wv0')
  })
})

describe('a storm', () => {
  test('of 5,000 uevents at once is a few calls that count them all', async () => {
    await signal('STOP')
    await inject([vf], 5_000)
    await signal('CONT')
    await drained()
    const calls = watch.changes()
    expect(calls.map(({ counts }) => counts.pci ?? 0).reduce((sum, one) => sum + one)).toBe(5_000)
    expect(calls.length).toBeLessThanOrEqual(10)
    expect((await watch.measure()).stats.lost).toBe(0)
  })

  test('does not make memory grow', async () => {
    await inject([vf], 5_000)
    const before = await watch.measure()
    for (let round = 0; round < 6; round++) await inject([vf], 5_000)
    await drained()
    const after = await watch.measure()
    expect(after.stats.received - before.stats.received).toBeGreaterThanOrEqual(30_000)
    expect((after.rss - before.rss) / 2 ** 20).toBeLessThan(12)
    expect(after.rss / 2 ** 20).toBeLessThan(80)
  })

  test('meets a slow onChange: never two at once, and no change is missed', async () => {
    watch.tell('busy 400')
    await inject([vf], 3_000)
    await drained()
    watch.tell('busy 0')
    const calls = watch.changes()
    expect(calls.map(({ counts }) => counts.pci ?? 0).reduce((sum, one) => sum + one)).toBe(3_000)
    expect((await watch.measure()).stats.failures).toBe(0)
  })
})

test('an overrun is told, leads to a full call, and the watch hears what comes after', async () => {
  const sockets = () => vm.must(`ls -l /proc/${watch.pid}/fd | grep -c socket:`)
  const before = await sockets()
  const padding = 'x'.repeat(1_500)
  await signal('STOP')
  await inject([{ ...vf, fields: { ...vf.fields, PADDING: padding } }], 20_000)
  await signal('CONT')
  await watch.until('lost')
  expect(watch.losses()).toEqual([expect.stringContaining('ENOBUFS')])
  expect(watch.changes().some(({ isFull }) => isFull)).toBe(true)
  expect((await watch.measure()).stats.sockets).toBe(3)
  await drained()
  await expect.poll(sockets, { timeout: 30_000 }).toBe(before)
})

test('touch asks for a full call', async () => {
  watch.tell('touch')
  await watch.until('asked')
  expect(watch.changes()).toMatchObject([{ subjects: ['asked test'], isFull: true }])
})

test('datagrams that wait come joined, and none is cut', async () => {
  const raw = await vm.spawn([...argvOf(), 'watch', 'raw', '15', '1'])
  const lines = () => raw.stdout().split('\n').slice(0, -1)
  await expect.poll(() => lines()[0], { timeout: 60_000 }).toBe('{}')
  await vm.must(`kill -STOP ${raw.pid}`)
  const sizes = [0, 1, 100, 700, 1_500]
  const events = sizes.map((size) => ({ ...vf, fields: { SIZE: `${size}`, PADDING: 'y'.repeat(size) } }))
  await inject(events, 100)
  await vm.must(`kill -CONT ${raw.pid}`)
  const chunks = () =>
    lines()
      .slice(1)
      .map((line) => JSON.parse(line) as { text: string; length: number })
  const text = () =>
    chunks()
      .map((chunk) => chunk.text)
      .join('')
  await expect.poll(() => text().split('SEQNUM=').length - 1, { timeout: 60_000 }).toBe(500)
  const found = [
    ...text().matchAll(/add@\/devices\/pci0000:00\/0000:01:10\.(\d+)\0.*?SIZE=(\d+)\0PADDING=(y*)\0/g),
  ]
  expect(found.map(([, count, size, padding]) => [Number(count), Number(size), padding?.length])).toEqual(
    Array.from({ length: 500 }, (_, at) => [Math.floor(at / 5), sizes[at % 5], sizes[at % 5]]),
  )
  expect(Math.max(...chunks().map(({ length }) => length))).toBeGreaterThan(65_536)
  raw.end()
  expect((await raw.wait()).code).toBe(0)
})
