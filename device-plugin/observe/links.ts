/** Counters of PFs and VFs from rtnetlink: one request for each PF, and one dump where a PF does not tell of its VFs. */

import { grouped } from '../../src/lib/grouped.ts'
import type { PciAddress } from '../../src/lib/pci-address.ts'
import type { Value } from '../../src/netlink/codec/wire.ts'
import { decodeLink, dumpLinks, getLink, type Link, RTEXT_FILTER } from '../../src/netlink/rtnl/link.ts'
import type { vfStats } from '../../src/netlink/rtnl/vf.ts'
import { NetlinkError, type NetlinkSocket } from '../../src/netlink/socket.ts'
import type { Device, Pf, Snapshot } from '../inventory/snapshot.ts'

/** Counters of one direction; undefined where nobody counts that. */
export interface Traffic {
  readonly bytes: bigint
  readonly packets: bigint
  readonly dropped?: bigint | undefined
  readonly errors?: bigint | undefined
  readonly broadcast?: bigint | undefined
  readonly multicast?: bigint | undefined
}

/** Counters of an interface or a VF, as its owner sees the directions. */
export interface Counted {
  readonly receive: Traffic
  readonly transmit: Traffic
}

/** Counters of one look. */
export interface LinkReadings {
  /** Of uplinks. */
  readonly pfs: ReadonlyMap<PciAddress, Counted>
  /** By device id: those VFs of which somebody on the host counts. */
  readonly vfs: ReadonlyMap<string, Counted>
}

/**
 * Most VFs that a PF is asked for with their statistics. A list of VFs has a 16-bit length; each VF takes about 310 bytes of it
 * today, and 436 bytes are left for each here.
 */
export const mostVfsWithStatistics = 150

/**
 * Reads the counters of all PFs of a snapshot and of their VFs. A VF's counters are those of its PF (IFLA_VF_STATS), else those of
 * its representor with the directions turned round, else those of its interface. `socket` is one of rtnetlink. An interface that
 * is gone since the scan is left out. @throws NetlinkError
 */
export function readLinks(socket: NetlinkSocket, { devices, pfs }: Snapshot): LinkReadings {
  const vfsOf = grouped(
    devices.filter(({ type, pf }) => type === 'netDevice' && pf !== undefined),
    ({ pf }) => pf?.address ?? '',
  )
  const [counted, found] = [new Map<PciAddress, Counted>(), new Map<string, Counted>()]
  const silent: Device[] = []
  for (const pf of pfs.values()) {
    const link = uplinkOf(socket, pf)
    const uplink = link && statisticsOf(link)
    if (uplink !== undefined) counted.set(pf.address, uplink)
    const vfs = vfsOf.get(pf.address) ?? []
    const told = vfCounters(link)
    for (const device of vfs) {
      const own = told.get(device.pf?.index ?? -1)
      if (own === undefined) silent.push(device)
      else found.set(device.id, own)
    }
  }
  for (const [id, one] of fromInterfaces(socket, silent)) found.set(id, one)
  return { pfs: counted, vfs: found }
}

function uplinkOf(socket: NetlinkSocket, { uplink, numVfs }: Pf): Link | undefined {
  if (uplink === undefined) return undefined
  const mask = numVfs > 0 && numVfs <= mostVfsWithStatistics ? RTEXT_FILTER.RTEXT_FILTER_VF : 0
  try {
    const [message] = socket.request(getLink(uplink.ifindex, mask)).messages
    return message && decodeLink(message)
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return undefined
    throw error
  }
}

/**
 * The counters of VFs in the message of their PF, by index. None when all are zero: the kernel writes zeros for a driver that has no
 * such counters (ndo_get_vf_stats).
 */
function vfCounters(link: Link | undefined): ReadonlyMap<number, Counted> {
  const found = (link?.IFLA_VFINFO_LIST ?? []).flatMap(({ IFLA_VF_MAC: mac, IFLA_VF_STATS: stats }) =>
    mac === undefined || stats === undefined ? [] : [[mac.vf, countedOf(stats)] as const],
  )
  const isSilent = found.every(
    ([, { receive, transmit }]) =>
      receive.packets === 0n && transmit.packets === 0n && (receive.dropped ?? 0n) === 0n,
  )
  return new Map(isSilent ? [] : found)
}

function countedOf(stats: Value<typeof vfStats>): Counted {
  return {
    receive: {
      bytes: stats.IFLA_VF_STATS_RX_BYTES ?? 0n,
      packets: stats.IFLA_VF_STATS_RX_PACKETS ?? 0n,
      dropped: stats.IFLA_VF_STATS_RX_DROPPED,
      broadcast: stats.IFLA_VF_STATS_BROADCAST,
      multicast: stats.IFLA_VF_STATS_MULTICAST,
    },
    transmit: {
      bytes: stats.IFLA_VF_STATS_TX_BYTES ?? 0n,
      packets: stats.IFLA_VF_STATS_TX_PACKETS ?? 0n,
      dropped: stats.IFLA_VF_STATS_TX_DROPPED,
    },
  }
}

function fromInterfaces(
  socket: NetlinkSocket,
  devices: readonly Device[],
): readonly (readonly [string, Counted])[] {
  const wanted = devices.filter(({ representor, netdevs }) => representor !== undefined || netdevs.length > 0)
  if (wanted.length === 0) return []
  // With a mask the kernel sizes its buffer so that no interface is left out (rtnl_calcit).
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  const links = new Map(
    socket.dump(dumpLinks(mask)).map((message) => {
      const link = decodeLink(message)
      return [link.ifi_index, link] as const
    }),
  )
  return wanted.flatMap(({ id, representor, netdevs }) => {
    const link = links.get(representor?.ifindex ?? netdevs[0]?.ifindex ?? 0)
    const one = link && statisticsOf(link)
    if (one === undefined) return []
    // A representor receives what the VF sends.
    return [[id, representor === undefined ? one : { receive: one.transmit, transmit: one.receive }] as const]
  })
}

/** Counters of an interface: struct rtnl_link_stats64 of linux/if_link.h; undefined where the message has none. */
export function statisticsOf({ IFLA_STATS64: stats }: Link): Counted | undefined {
  if (stats === undefined || stats.length < 72) return undefined
  const view = new DataView(stats.buffer, stats.byteOffset, stats.length)
  const at = (field: number) => view.getBigUint64(8 * field, true)
  return {
    receive: { packets: at(0), bytes: at(2), errors: at(4), dropped: at(6), multicast: at(8) },
    transmit: { packets: at(1), bytes: at(3), errors: at(5), dropped: at(7) },
  }
}
