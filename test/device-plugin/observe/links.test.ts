// Counters of PFs and VFs from the kernel's answers: those of the PF's list of VFs, with statistics for as many VFs as a list can hold;
// else those of representors, turned round; else those of interfaces on the host; and none where nobody counts.
import { expect, test } from 'vitest'
import type { Device, Pf, Snapshot } from '../../../device-plugin/inventory/snapshot.ts'
import { readLinks } from '../../../device-plugin/observe/links.ts'
import type { TrafficFacts } from '../../../src/kernel/api/traffic.ts'
import { linkTraffic, mostVfsWithStatistics, portTraffic } from '../../../src/kernel/link/traffic.ts'
import type { Message } from '../../../src/netlink/message.ts'
import { decodeLink, type LinkRequest, linkMessage, RTEXT_FILTER } from '../../../src/netlink/rtnl/link.ts'
import { type VfInfo, vfInfoList } from '../../../src/netlink/rtnl/vf.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { ack, done, join, message } from '../../netlink/script.ts'
import { pfAddress, representorIndex, snapshotOf, uplinkIndex, vfAddress } from './view.ts'

const RTM_NEWLINK = 16
const ENODEV = 19

/** struct rtnl_link_stats64 with the numbers start, start + 1, ... */
function statistics(start: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(25 * 8))
  for (let field = 0; field < 25; field++) bytes.setBigUint64(8 * field, BigInt(start + field), true)
  return new Uint8Array(bytes.buffer)
}

/** What a driver reports of a VF, with every attribute that there is. */
function vfOf(vf: number, start: number): VfInfo {
  const count = (field: number) => (start === 0 ? 0n : BigInt(start + field))
  const mac = `02:00:00:00:${(vf >> 8).toString(16).padStart(2, '0')}:${(vf & 255).toString(16).padStart(2, '0')}`
  return {
    IFLA_VF_MAC: { vf, mac },
    IFLA_VF_BROADCAST: { broadcast: 'ff:ff:ff:ff:ff:ff' },
    IFLA_VF_VLAN: { vf, vlan: 1, qos: 0 },
    IFLA_VF_RATE: { vf, min_tx_rate: 0, max_tx_rate: 0 },
    IFLA_VF_TX_RATE: { vf, rate: 0 },
    IFLA_VF_SPOOFCHK: { vf, setting: 1 },
    IFLA_VF_LINK_STATE: { vf, link_state: 0 },
    IFLA_VF_RSS_QUERY_EN: { vf, setting: 0 },
    IFLA_VF_TRUST: { vf, setting: 0 },
    IFLA_VF_VLAN_LIST: [{ vf, vlan: 1, qos: 0, vlan_proto: 0x8100 }],
    IFLA_VF_STATS: {
      IFLA_VF_STATS_RX_PACKETS: count(0),
      IFLA_VF_STATS_TX_PACKETS: count(1),
      IFLA_VF_STATS_RX_BYTES: count(2),
      IFLA_VF_STATS_TX_BYTES: count(3),
      IFLA_VF_STATS_BROADCAST: count(4),
      IFLA_VF_STATS_MULTICAST: count(5),
      IFLA_VF_STATS_RX_DROPPED: count(6),
      IFLA_VF_STATS_TX_DROPPED: count(7),
    },
  }
}

/** A kernel with these links; `asked` has the masks of requests, by interface. */
function kernel(links: readonly LinkRequest[]) {
  const asked = new Map<number | 'all', number>()
  let question: Message | undefined
  const bytesOf = (link: LinkRequest) => linkMessage.request('', RTM_NEWLINK, 0, link).payload
  const socket = new NetlinkSocket({
    send: (datagram) => {
      const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length)
      question = {
        ...{ type: view.getUint16(4, true), flags: view.getUint16(6, true), seq: view.getUint32(8, true) },
        ...{ pid: 0, payload: datagram.slice(16) },
      }
    },
    recv: () => {
      if (question === undefined) throw new RangeError('nobody asked')
      const { seq, flags } = question
      const wanted = decodeLink(question)
      const mask = wanted.IFLA_EXT_MASK ?? 0
      if ((flags & 0x300) === 0x300) {
        asked.set('all', mask)
        const all = links.map(({ IFLA_VFINFO_LIST: _, ...link }) =>
          message(RTM_NEWLINK, 2, seq, bytesOf(link)),
        )
        return join(...all, done(question))
      }
      asked.set(wanted.ifi_index, mask)
      const link = links.find(({ ifi_index }) => ifi_index === wanted.ifi_index)
      if (link === undefined) return ack(question, -ENODEV)
      const { IFLA_VFINFO_LIST: list, ...rest } = link
      const shown = (mask & RTEXT_FILTER.RTEXT_FILTER_VF) === 0 || list === undefined ? rest : link
      return join(message(RTM_NEWLINK, 0, seq, bytesOf(shown)), ack(question))
    },
    close: () => undefined,
  })
  const facts: TrafficFacts = {
    port: (ifindex, numVfs) => portTraffic(socket, ifindex, numVfs),
    links: () => linkTraffic(socket),
    wire: (ifindexes) =>
      new Map(
        ifindexes.map((ifindex) => [
          ifindex,
          {
            receive: { packets: BigInt(ifindex), bytes: 2n },
            transmit: { packets: 3n, bytes: 4n },
          },
        ]),
      ),
    close: () => undefined,
  }
  return { facts, asked }
}

const uplink = (pf: number, start: number, list?: readonly VfInfo[]): LinkRequest => ({
  ...{ ifi_index: uplinkIndex(pf), IFLA_IFNAME: `eth${pf}`, IFLA_STATS64: statistics(start) },
  ...(list === undefined ? {} : { IFLA_VFINFO_LIST: list }),
})
const representor = (pf: number, vf: number, start: number): LinkRequest => ({
  ...{ ifi_index: representorIndex(pf, vf), IFLA_IFNAME: `r${vf}`, IFLA_STATS64: statistics(start) },
})

/** The snapshot with another device in place of one. */
function changed(snapshot: Snapshot, id: string, change: Partial<Device>): Snapshot {
  return {
    ...snapshot,
    devices: snapshot.devices.map((one) => (one.id === id ? { ...one, ...change } : one)),
  }
}

test('one request for each PF tells of the uplink and of all its VFs, 128 with every attribute', () => {
  const lists = [0, 1].map((pf) => Array.from({ length: 128 }, (_, vf) => vfOf(vf, 1_000 * (vf + 1) + pf)))
  const { facts, asked } = kernel([uplink(0, 10, lists[0]), uplink(1, 50, lists[1])])
  const { pfs, vfs, wires } = readLinks(facts, snapshotOf(2, 128))
  expect([...wires].map(([pf, { receive }]) => [pf, receive.packets])).toEqual([
    [pfAddress(0), BigInt(uplinkIndex(0))],
    [pfAddress(1), BigInt(uplinkIndex(1))],
  ])
  expect(pfs.get(pfAddress(0))).toEqual({
    receive: { packets: 10n, bytes: 12n, errors: 14n, dropped: 16n, multicast: 18n },
    transmit: { packets: 11n, bytes: 13n, errors: 15n, dropped: 17n },
  })
  expect(vfs.size).toBe(256)
  expect(vfs.get(vfAddress(1, 127))).toEqual({
    receive: {
      packets: 128_001n,
      bytes: 128_003n,
      broadcast: 128_005n,
      multicast: 128_006n,
      dropped: 128_007n,
    },
    transmit: { packets: 128_002n, bytes: 128_004n, dropped: 128_008n },
  })
  expect([...asked.keys()]).toEqual([uplinkIndex(0), uplinkIndex(1)])
})

test('a list of as many VFs as are asked for with statistics fits into its 16-bit length, with room for a third more', () => {
  const list = Array.from({ length: mostVfsWithStatistics }, (_, vf) => vfOf(vf, 1))
  expect((vfInfoList.encode(list).length * 4) / 3).toBeLessThan(0xffff)
  expect(vfInfoList.encode(list).length / mostVfsWithStatistics).toBeLessThan(436)
})

test('a PF with more VFs is asked without them, and their representors tell, with the directions turned round', () => {
  const count = mostVfsWithStatistics + 1
  const { facts, asked } = kernel([
    uplink(0, 10),
    ...Array.from({ length: count }, (_, vf) => representor(0, vf, vf)),
  ])
  const { vfs } = readLinks(facts, snapshotOf(1, count))
  expect(asked.get(uplinkIndex(0))).toBe(0)
  expect(vfs.size).toBe(count)
  expect(vfs.get(vfAddress(0, 100))).toMatchObject({
    receive: { packets: 101n, bytes: 103n, dropped: 107n },
    transmit: { packets: 100n, bytes: 102n, dropped: 106n },
  })
})

test('a driver without counters of VFs reports zeros: they do not count', () => {
  const list = [vfOf(0, 0), vfOf(1, 0), vfOf(2, 0)]
  const { facts } = kernel([
    uplink(0, 10, list),
    representor(0, 0, 7),
    { ifi_index: 77, IFLA_STATS64: statistics(70) },
  ])
  const host = { name: 'v1', altnames: [], ifindex: 77, mac: '', up: true, carrier: true }
  let snapshot = changed(snapshotOf(1, 3), vfAddress(0, 1), { representor: undefined, netdevs: [host] })
  snapshot = changed(snapshot, vfAddress(0, 2), { representor: undefined })
  const { vfs } = readLinks(facts, snapshot)
  expect([...vfs.keys()]).toEqual([vfAddress(0, 0), vfAddress(0, 1)])
  expect(vfs.get(vfAddress(0, 0))?.transmit.packets).toBe(7n)
  expect(vfs.get(vfAddress(0, 1))?.receive.packets).toBe(70n)
})

test('one VF with traffic shows that the driver counts: the zeros of the others are zeros', () => {
  const { facts, asked } = kernel([uplink(0, 10, [vfOf(0, 0), vfOf(1, 5)])])
  const { vfs } = readLinks(facts, snapshotOf(1, 2))
  expect(vfs.get(vfAddress(0, 0))?.receive.packets).toBe(0n)
  expect(asked.has('all')).toBe(false)
})

test('an uplink that is gone since the scan, one that nobody knows, and subfunctions have no counters', () => {
  const { facts } = kernel([])
  expect(readLinks(facts, snapshotOf(1, 2))).toMatchObject({ pfs: new Map(), vfs: new Map() })
  const snapshot = snapshotOf(1, 1)
  const [[address, pf] = ['', {} as Pf]] = snapshot.pfs
  expect(
    readLinks(facts, { ...snapshot, pfs: new Map([[address, { ...pf, uplink: undefined }]]) }).pfs.size,
  ).toBe(0)
  const { facts: other } = kernel([uplink(0, 10, [vfOf(0, 5)])])
  const aux = changed(snapshot, vfAddress(0, 0), { type: 'auxNetDevice', representor: undefined })
  expect(readLinks(other, aux).vfs.size).toBe(0)
})
