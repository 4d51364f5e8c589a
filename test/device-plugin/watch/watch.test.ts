// The whole watch over a kernel of the test: notifications of three protocols become calls of onChange, lost sockets are opened again and
// lead to a full one, and devlink is heard even when its module comes late.
import { describe, expect, test } from 'vitest'
import type { Changes } from '../../../device-plugin/inventory/watch/change.ts'
import { watchNode } from '../../../device-plugin/inventory/watch/watch.ts'
import { DEVLINK_CMD, devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import { CTRL_CMD, ctrlMessage, GENL_ID_CTRL } from '../../../src/netlink/genl/genl.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { pciUevent, vethUevents } from './captured.ts'
import { FakePort } from './fake-port.ts'
import { addressNews, linkNews, messageOf, routeNews } from './messages.ts'
import { VirtualClock } from './virtual-clock.ts'

const [ROUTE, UEVENT, GENERIC] = [0, 15, 16]
const devlinkId = 0x15
const devlinkGroup = 40
const network = new TextEncoder().encode(
  'add@/devices/pci0000:00/0000:01:10.0\0SUBSYSTEM=pci\0PCI_CLASS=20000\0',
)

const devlinkFamily = messageOf(
  GENL_ID_CTRL,
  ctrlMessage.encode({
    ...{ cmd: CTRL_CMD.CTRL_CMD_NEWFAMILY, version: 2 },
    ...{ CTRL_ATTR_FAMILY_ID: devlinkId, CTRL_ATTR_FAMILY_NAME: 'devlink' },
    CTRL_ATTR_MCAST_GROUPS: [
      [1, { CTRL_ATTR_MCAST_GRP_NAME: 'config', CTRL_ATTR_MCAST_GRP_ID: devlinkGroup }],
    ],
  }),
)
const portNews = messageOf(
  devlinkId,
  devlinkMessage.encode({
    ...{ cmd: DEVLINK_CMD.DEVLINK_CMD_PORT_NEW, version: 1 },
    ...{ DEVLINK_ATTR_BUS_NAME: 'pci', DEVLINK_ATTR_DEV_NAME: '0000:01:00.0' },
  }),
)

function bed(setUp: (port: FakePort) => void = () => undefined) {
  const port = new FakePort()
  const clock = new VirtualClock()
  setUp(port)
  const calls: Changes[] = []
  const losses: unknown[] = []
  const watch = watchNode({
    ...{ port, clock },
    onChange: (changes) => void calls.push(changes),
    onFailure: (error) => losses.push(error),
    onLost: (error) => losses.push(error),
  })
  return { port, clock, calls, losses, watch }
}

const answers = (links: readonly Message[], families: readonly Message[]) => (port: FakePort) => {
  port.answer = (protocol) => (protocol === ROUTE ? links : families)
}

test('listens to uevents of the kernel, links, routes, addresses, devlink and new families', () => {
  const { port } = bed(answers([], [devlinkFamily]))
  const groups = Object.fromEntries(port.open.map((one) => [one.protocol, one.groups]))
  expect(groups).toEqual({ [UEVENT]: [1], [ROUTE]: [1, 5, 7, 9, 11], [GENERIC]: [16, devlinkGroup] })
})

test('notifications of all protocols become one call', async () => {
  const { port, clock, calls, watch } = bed(answers([], [devlinkFamily]))
  port.socket(UEVENT).send(vethUevents, network, pciUevent)
  port.socket(ROUTE).send(linkNews(2, 'eth0'), linkNews(9, 'veth9', { kind: 'veth' }))
  port.socket(ROUTE).send(addressNews(2), routeNews(2), addressNews(9, '192.0.2.8'), routeNews(9))
  port.socket(GENERIC).send(portNews)
  await clock.advance(100)
  expect(calls).toEqual([
    {
      total: 5,
      counts: { pci: 1, link: 1, address: 1, route: 1, devlink: 1 },
      subjects: [
        'pci add 0000:01:10.0',
        'link eth0',
        'address 192.0.2.9/24',
        'route default by 2',
        'devlink port new 0000:01:00.0',
      ],
      isFull: false,
    },
  ])
  expect(watch.stats()).toMatchObject({ received: 23, changes: 5, lost: 0, runs: 1, sockets: 3 })
})

test('the interfaces that are there at the start are known: a repeated message about one is no `link`', async () => {
  const { port, clock, calls } = bed(
    answers([linkNews(2, 'eth0'), linkNews(9, 'veth9', { kind: 'veth' })], []),
  )
  port.socket(ROUTE).send(addressNews(9), linkNews(2, 'eth0'))
  await clock.advance(100)
  expect(calls.map(({ counts }) => counts)).toEqual([{ vf: 1 }])
})

test('a route that comes back after its interface was down is a change', async () => {
  const { port, clock, calls } = bed(answers([linkNews(2, 'eth0')], []))
  const { send } = port.socket(ROUTE)
  for (const message of [routeNews(2), linkNews(2, 'eth0', { ifi_flags: 0 }), routeNews(2)]) {
    send(message)
    await clock.advance(1_000)
  }
  expect(calls.map(({ counts }) => counts)).toEqual([{ route: 1 }, { link: 1 }, { route: 1 }])
})

test('devlink that comes late is joined', async () => {
  const { port, clock, calls } = bed()
  port.socket(GENERIC).send(portNews)
  port.socket(GENERIC).send(devlinkFamily, portNews)
  expect(port.socket(GENERIC).groups).toEqual([16, devlinkGroup])
  await clock.advance(100)
  expect(calls.map(({ counts }) => counts)).toEqual([{ devlink: 1 }])
})

describe('a lost socket', () => {
  test('is opened again at once, and a full call follows', async () => {
    const { port, clock, calls, losses, watch } = bed()
    await clock.advance(5_000)
    port.socket(UEVENT).lose(new RangeError('ENOBUFS'))
    expect(watch.stats().sockets).toBe(3)
    port.socket(UEVENT).send(network)
    await clock.advance(100)
    expect(calls).toMatchObject([{ counts: { lost: 2, pci: 1 }, isFull: true }])
    expect(losses).toEqual([new RangeError('ENOBUFS')])
  })

  test('of links forgets and reads the links again', async () => {
    const { port, clock, calls } = bed(answers([linkNews(2, 'eth0')], []))
    await clock.advance(5_000)
    answers([linkNews(3, 'eth1')], [])(port)
    port.socket(ROUTE).lose(new RangeError('ENOBUFS'))
    await clock.advance(1_000)
    port.socket(ROUTE).send(linkNews(3, 'eth1'), linkNews(2, 'eth0'))
    await clock.advance(1_000)
    expect(calls[1]).toMatchObject({ counts: { vf: 1, link: 1 } })
  })

  test('that is lost again and again is opened later and later', async () => {
    const { port, clock, watch } = bed()
    port.socket(UEVENT).lose(new RangeError('gone'))
    expect(watch.stats().sockets).toBe(2)
    port.refusal = new RangeError('no')
    await clock.advance(100_000)
    expect(watch.stats()).toMatchObject({ sockets: 2, lost: 1 + 6 })
    port.refusal = undefined
    await clock.advance(60_000)
    expect(watch.stats().sockets).toBe(3)
  })

  test('that never opened leaves the periodic scan, and one line for the log in a minute', async () => {
    const { clock, calls, losses, watch } = bed((port) => {
      port.refusal = new RangeError('no')
    })
    expect(watch.stats()).toMatchObject({ sockets: 0, lost: 3 })
    await clock.advance(59_000)
    expect(losses).toEqual([new RangeError('no')])
    expect(calls.length).toBeGreaterThan(0)
  })
})

test('what can not be decoded leads to a full call, and the watch goes on', async () => {
  const { port, clock, calls } = bed()
  port.socket(UEVENT).send(new TextEncoder().encode('libudev\0'))
  port.socket(ROUTE).send(new Uint8Array(7))
  port.socket(UEVENT).send(network)
  await clock.advance(100)
  expect(calls).toMatchObject([{ counts: { lost: 2, pci: 1 }, isFull: true }])
})

test('touch asks for a full call; after close nothing comes', async () => {
  const { port, clock, calls, watch } = bed()
  watch.touch('SIGHUP')
  await clock.advance(100)
  expect(calls).toMatchObject([{ subjects: ['asked SIGHUP'], isFull: true }])
  port.socket(UEVENT).send(network)
  watch.close()
  await clock.advance(3_600_000)
  expect(calls).toHaveLength(1)
  expect([port.open, clock.pending]).toEqual([[], 0])
})
