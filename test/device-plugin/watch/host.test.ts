// Default routes and addresses: changes when they are of interfaces on hardware, and when they are not known already.
import { beforeEach, describe, expect, test } from 'vitest'
import { changeOfDevlink } from '../../../device-plugin/inventory/watch/devlink.ts'
import { HostTable } from '../../../device-plugin/inventory/watch/host.ts'
import { DEVLINK_CMD, devlinkMessage } from '../../../src/netlink/genl/devlink.ts'
import { parseDatagram } from '../../../src/netlink/message.ts'
import { AF, RTM } from '../../../src/netlink/rtnl/const.ts'
import { RTM_F } from '../../../src/netlink/rtnl/route.ts'
import { addressAdded, defaultReplaced, defaultRoute, otherRoute } from './captured.ts'
import { addressNews, messageOf, routeNews } from './messages.ts'

const hardware = 3
const veth = 10
let host: HostTable
beforeEach(() => {
  host = new HostTable({ concerns: (index) => index < veth })
})
const takeAll = (bytes: Uint8Array) => parseDatagram(bytes).map((message) => host.take(message))

test('the captured messages: default routes and addresses are changes, other routes are none', () => {
  const [address, ...routes] = takeAll(addressAdded)
  expect(address).toEqual({ kind: 'address', subject: '192.0.2.1/24' })
  expect(routes).toEqual([undefined, undefined, undefined])
  expect(takeAll(defaultRoute)).toEqual([{ kind: 'route', subject: 'default by 3' }])
  expect(takeAll(defaultReplaced)).toEqual([{ kind: 'route', subject: 'default by 3' }])
  expect(takeAll(defaultReplaced)).toEqual([undefined])
  expect(takeAll(otherRoute)).toEqual([undefined])
})

describe('a default route', () => {
  const route = (facts = {}, type: number = RTM.RTM_NEWROUTE) => host.take(routeNews(hardware, facts, type))

  test('of either family, with several next hops, or with a next hop object is a change', () => {
    const hops = [veth, hardware].map((rtnh_ifindex) => ({ rtnh_flags: 0, rtnh_hops: 0, rtnh_ifindex }))
    expect(route()).toBeDefined()
    expect(route({ rtm_family: AF.AF_INET6, RTA_GATEWAY: 'fe80::1' })).toBeDefined()
    expect(host.take(routeNews(veth, { RTA_PRIORITY: 5, RTA_MULTIPATH: hops }))).toBeDefined()
    expect(host.take(routeNews(veth, { RTA_PRIORITY: 6, RTA_NH_ID: 7 }))).toBeDefined()
  })

  test('of an interface without hardware, or a copy of the kernel, is none', () => {
    expect(host.take(routeNews(veth))).toBeUndefined()
    expect(route({ rtm_flags: RTM_F.RTM_F_CLONED })).toBeUndefined()
  })

  test('that is repeated is none, until it is another, or removed, or an interface has changed', () => {
    expect([route(), route(), route({ RTA_GATEWAY: '192.0.2.7' }), route()].map(Boolean)).toEqual([
      ...[true, false, true, true],
    ])
    expect([route({}, RTM.RTM_DELROUTE), route(), route()].map(Boolean)).toEqual([true, true, false])
    host.forget()
    expect(route()).toBeDefined()
  })

  test('that comes back after one of a veth had its place is a change', () => {
    route()
    expect(host.take(routeNews(veth))).toBeUndefined()
    expect(route()).toBeDefined()
  })
})

describe('an address', () => {
  test('of a pod’s veth is none; of hardware it is one, once', () => {
    expect(host.take(addressNews(veth))).toBeUndefined()
    expect([1, 2].map(() => host.take(addressNews(hardware)))).toEqual([
      { kind: 'address', subject: '192.0.2.9/24' },
      undefined,
    ])
    expect(host.take(addressNews(hardware, '192.0.2.9', RTM.RTM_DELADDR))).toBeDefined()
    expect(host.take(addressNews(hardware))).toBeDefined()
  })

  test('is forgotten before memory grows', () => {
    for (let count = 0; count < 1_024; count++)
      host.take(addressNews(hardware, `10.0.${count >> 8}.${count & 255}`))
    expect(host.take(addressNews(hardware, '10.0.0.0'))).toBeUndefined()
    expect(host.take(addressNews(hardware, '10.1.0.0'))).toBeDefined()
    expect(host.take(addressNews(hardware, '10.0.0.0'))).toBeDefined()
  })
})

test('messages of other types are none', () => {
  expect(host.take(messageOf(RTM.RTM_NEWNEIGH, new Uint8Array(12)))).toBeUndefined()
})

describe('devlink', () => {
  const news = (cmd: number) =>
    changeOfDevlink(
      messageOf(
        0x15,
        devlinkMessage.encode({
          ...{ cmd, version: 1 },
          ...{ DEVLINK_ATTR_BUS_NAME: 'pci', DEVLINK_ATTR_DEV_NAME: '0000:01:00.0' },
        }),
      ),
    )

  test('instances, ports and health reporters are changes, parameters and traps none', () => {
    const { DEVLINK_CMD_NEW, DEVLINK_CMD_PORT_DEL, DEVLINK_CMD_HEALTH_REPORTER_RECOVER } = DEVLINK_CMD
    expect([DEVLINK_CMD_NEW, DEVLINK_CMD_PORT_DEL, DEVLINK_CMD_HEALTH_REPORTER_RECOVER].map(news)).toEqual([
      { kind: 'devlink', subject: 'new 0000:01:00.0' },
      { kind: 'devlink', subject: 'port del 0000:01:00.0' },
      { kind: 'devlink', subject: 'health 0000:01:00.0' },
    ])
    // DEVLINK_CMD_PARAM_NEW, DEVLINK_CMD_TRAP_NEW of linux/devlink.h.
    expect([40, 63].map(news)).toEqual([undefined, undefined])
  })
})
