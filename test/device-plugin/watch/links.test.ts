// Messages about interfaces: only those of hardware, and of bonds, bridges and VLANs on it, are changes, and only when something differs
// that the inventory shows.
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { LinkTable } from '../../../device-plugin/inventory/watch/links.ts'
import { parseDatagram } from '../../../src/netlink/message.ts'
import { AF } from '../../../src/netlink/rtnl/const.ts'
import { ARPHRD, IFF } from '../../../src/netlink/rtnl/link.ts'
import { linkMtu, linkUp } from './captured.ts'
import { type LinkFacts, linkGone, linkNews } from './messages.ts'

let table: LinkTable
beforeEach(() => {
  table = new LinkTable()
})

const eth0 = linkNews(2, 'eth0')
const link = { kind: 'link', subject: 'eth0' }

describe('an interface of hardware', () => {
  beforeEach(() => table.take(eth0))

  const shown: readonly (readonly [string, LinkFacts])[] = [
    ['name', { IFLA_IFNAME: 'eth9' }],
    ['altname', { IFLA_PROP_LIST: ['enp1s0'] }],
    ['MAC address', { IFLA_ADDRESS: '02:00:00:00:00:01' }],
    ['up', { ifi_flags: 0 }],
    ['carrier', { ifi_flags: IFF.IFF_UP }],
    ['state', { IFLA_OPERSTATE: 2 }],
    ['master', { IFLA_MASTER: 7 }],
    ['switch id', { IFLA_PHYS_SWITCH_ID: Uint8Array.of(1, 2) }],
    ['port id', { IFLA_PHYS_PORT_ID: Uint8Array.of(1, 2) }],
    ['port name', { IFLA_PHYS_PORT_NAME: 'p0' }],
    ['device', { IFLA_PARENT_DEV_NAME: '0000:02:00.0' }],
  ]
  test.each(shown)('that has another %s is a change', (_, facts) => {
    const name = facts.IFLA_IFNAME ?? 'eth0'
    expect(table.take(linkNews(2, name, facts))).toEqual({ kind: 'link', subject: name })
  })

  const hidden: readonly (readonly [string, LinkFacts])[] = [
    ['MTU', { IFLA_MTU: 9000 }],
    ['queue length', { IFLA_TXQLEN: 5 }],
    ['promiscuity', { ifi_flags: IFF.IFF_UP | IFF.IFF_LOWER_UP | IFF.IFF_PROMISC, IFLA_PROMISCUITY: 1 }],
    ['XDP program', { IFLA_XDP: { IFLA_XDP_PROG_ID: 5 } }],
    ['event', { IFLA_EVENT: 4 }],
  ]
  test.each(hidden)('that has another %s is none', (_, facts) => {
    expect(table.take(linkNews(2, 'eth0', facts))).toBeUndefined()
  })

  test('that differs in nothing, or in counters alone, may have a changed VF attribute', () => {
    const vf = { kind: 'vf', subject: 'eth0' }
    expect(table.take(eth0)).toEqual(vf)
    const counted = { IFLA_STATS64: new Uint8Array(8).fill(1), IFLA_CARRIER_CHANGES: 3 }
    expect(table.take(linkNews(2, 'eth0', counted))).toEqual(vf)
  })

  test('that goes is a change, and one after it is as new', () => {
    expect(table.take(linkGone(eth0))).toEqual(link)
    expect(table.size).toBe(0)
    expect(table.take(eth0)).toEqual(link)
  })

  test('is not changed by its part in a bridge, or by wireless extensions', () => {
    const port = linkNews(2, 'eth0', { ifi_family: AF.AF_BRIDGE, IFLA_MASTER: 9 })
    expect([table.take(port), table.take(linkGone(port))]).toEqual([undefined, undefined])
    expect(table.take(linkNews(2, 'eth0', { IFLA_WIRELESS: new Uint8Array(4) }))).toBeUndefined()
    expect(table.take(eth0)).toMatchObject({ kind: 'vf' })
  })
})

test('an interface without parent and kind is hardware, as is IPoIB; the loopback is not', () => {
  const kindless = { kind: 'none' }
  expect(table.take(linkNews(3, 'old0', kindless))).toEqual({ kind: 'link', subject: 'old0' })
  expect(table.take(linkNews(4, 'ib0', { kind: 'ipoib' }))).toEqual({ kind: 'link', subject: 'ib0' })
  const lo = { ...kindless, ifi_type: ARPHRD.ARPHRD_LOOPBACK }
  expect(table.take(linkNews(1, 'lo', lo))).toBeUndefined()
  expect([1, 3, 4, 99].map((index) => table.concerns(index))).toEqual([false, true, true, true])
})

describe('an interface without hardware', () => {
  test('is no change, whatever happens to it', () => {
    const property = fc.property(
      fc.array(fc.record({ index: fc.integer({ min: 10, max: 20 }), up: fc.boolean(), gone: fc.boolean() })),
      (steps) => {
        const virtual = new LinkTable()
        for (const { index, up, gone } of steps) {
          const facts = { kind: 'veth', ifi_flags: up ? IFF.IFF_UP : 0, IFLA_MASTER: 30 }
          const message = linkNews(index, `veth${index}`, facts)
          expect(virtual.take(gone ? linkGone(message) : message)).toBeUndefined()
        }
        expect(virtual.size).toBeLessThanOrEqual(11)
      },
    )
    fc.assert(property)
  })

  test('the captured messages of a veth are none', () => {
    const changes = [linkMtu, linkUp].flatMap(parseDatagram).map((message) => table.take(message))
    expect(changes).toEqual([undefined, undefined])
    expect(table.size).toBe(1)
  })

  test('is one when it stands on hardware: bond, bridge on the bond, VLAN on the bridge', () => {
    table.take(linkNews(2, 'eth0', { IFLA_MASTER: 5 }))
    expect(table.take(linkNews(5, 'bond0', { kind: 'bond', IFLA_MASTER: 6 }))).toMatchObject({ kind: 'link' })
    expect(table.take(linkNews(6, 'br0', { kind: 'bridge' }))).toMatchObject({ kind: 'link' })
    expect(table.take(linkNews(7, 'br0.7', { kind: 'vlan', IFLA_LINK: 6 }))).toMatchObject({ kind: 'link' })
    expect([5, 6, 7].map((index) => table.concerns(index))).toEqual([true, true, true])
    expect(table.take(linkNews(6, 'br0', { kind: 'bridge', IFLA_MTU: 1400 }))).toBeUndefined()
    expect(table.take(linkNews(6, 'br1', { kind: 'bridge' }))).toEqual({ kind: 'link', subject: 'br1' })
    table.take(linkNews(2, 'eth0'))
    expect(table.take(linkNews(6, 'br2', { kind: 'bridge' }))).toBeUndefined()
  })

  test('is none as a port of a bridge, or as a macvlan: these do not carry the host', () => {
    table.take(linkNews(2, 'eth0', { IFLA_MASTER: 6 }))
    table.take(linkNews(6, 'br0', { kind: 'bridge' }))
    expect(table.take(linkNews(8, 'veth8', { kind: 'veth', IFLA_MASTER: 6 }))).toBeUndefined()
    expect(table.take(linkNews(9, 'mac9', { kind: 'macvlan', IFLA_LINK: 2 }))).toBeUndefined()
    const elsewhere = { kind: 'vlan', IFLA_LINK: 2, IFLA_LINK_NETNSID: 0 }
    expect(table.take(linkNews(10, 'vlan10', elsewhere))).toBeUndefined()
  })

  test('is none in a loop of masters', () => {
    table.take(linkNews(5, 'a', { kind: 'bridge', IFLA_MASTER: 6 }))
    table.take(linkNews(6, 'b', { kind: 'bridge', IFLA_MASTER: 5 }))
    expect(table.take(linkNews(5, 'c', { kind: 'bridge', IFLA_MASTER: 6 }))).toBeUndefined()
  })
})

test('after a dump only what differs is a change, and the first message about each interface', () => {
  table.take(linkNews(40, 'gone'))
  table.reset([eth0, linkNews(3, 'eth1')])
  expect(table.size).toBe(2)
  expect(table.take(linkNews(2, 'eth0', { IFLA_MTU: 1400 }))).toEqual({ kind: 'vf', subject: 'eth0' })
  expect(table.take(linkNews(2, 'eth0', { IFLA_MTU: 1500 }))).toBeUndefined()
})
