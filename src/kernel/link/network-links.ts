/**
 * Reads all interfaces as far as an inventory needs them. A node has more than a thousand, so attributes that nobody asks for are
 * passed over, not decoded: their decoding would take four times as long as all of the rest.
 */
import { fromHex, toHex } from '../../lib/hex.ts'
import { eachAttribute } from '../../netlink/codec/tlv.ts'
import type { Message } from '../../netlink/message.ts'
import { dumpLinks, IFF, ifinfomsg, link, linkInfo, RTEXT_FILTER } from '../../netlink/rtnl/link.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { NetworkLink } from '../api/network-facts.ts'

type Mutable = { -readonly [K in keyof NetworkLink]: NetworkLink[K] }
type Read = (into: Mutable, bytes: Uint8Array, start: number, end: number) => void

const { table } = link
const info = linkInfo.table

/** The attributes that are read, by number. */
const reads: readonly (Read | undefined)[] = byNumber([
  [table.IFLA_IFNAME, (into, ...at) => (into.name = table.IFLA_IFNAME[1].read(...at))],
  [table.IFLA_ADDRESS, (into, ...at) => (into.mac = table.IFLA_ADDRESS[1].read(...at))],
  [table.IFLA_PROP_LIST, (into, ...at) => (into.altnames = table.IFLA_PROP_LIST[1].read(...at))],
  [table.IFLA_CARRIER, (into, ...at) => (into.carrier = table.IFLA_CARRIER[1].read(...at) === 1)],
  [table.IFLA_MASTER, (into, ...at) => (into.master = table.IFLA_MASTER[1].read(...at))],
  [table.IFLA_LINK, (into, ...at) => (into.lower = table.IFLA_LINK[1].read(...at))],
  [table.IFLA_LINK_NETNSID, (into, ...at) => (into.lowerNetns = table.IFLA_LINK_NETNSID[1].read(...at))],
  [table.IFLA_PARENT_DEV_NAME, (into, ...at) => (into.parent = table.IFLA_PARENT_DEV_NAME[1].read(...at))],
  [
    table.IFLA_PHYS_SWITCH_ID,
    (into, ...at) => (into.physSwitchId = toHex(table.IFLA_PHYS_SWITCH_ID[1].read(...at))),
  ],
  [
    table.IFLA_PHYS_PORT_ID,
    (into, ...at) => (into.physPortId = toHex(table.IFLA_PHYS_PORT_ID[1].read(...at))),
  ],
  [
    table.IFLA_PHYS_PORT_NAME,
    (into, ...at) => (into.physPortName = table.IFLA_PHYS_PORT_NAME[1].read(...at)),
  ],
  [table.IFLA_LINKINFO, readInfo],
])

const infoReads: readonly (Read | undefined)[] = byNumber([
  [info.IFLA_INFO_KIND, (into, ...at) => (into.kind = info.IFLA_INFO_KIND[1].read(...at))],
  [info.IFLA_INFO_SLAVE_KIND, (into, ...at) => (into.slaveKind = info.IFLA_INFO_SLAVE_KIND[1].read(...at))],
])

/**
 * All interfaces of the socket's namespace. The mask makes the kernel measure each message before it makes room for it
 * ({@link allLinks} of links.ts).
 */
export function networkLinks(socket: NetlinkSocket): NetworkLink[] {
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  return socket.dump(dumpLinks(mask)).map(linkOf)
}

/** Those that the number of an eSwitch (hex) is found in: the others are passed over, whatever they are. */
export function eswitchLinks(socket: NetlinkSocket, switchId: string): NetworkLink[] {
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  return socket.scan(dumpLinks(mask), [fromHex(switchId)]).found.map(linkOf)
}

function linkOf({ payload }: Message): NetworkLink {
  const { ifi_index, ifi_flags, ifi_type } = ifinfomsg.read(payload, 0, payload.length)
  const found: Mutable = {
    ...{ ifindex: ifi_index, name: '', altnames: [], mac: '', up: (ifi_flags & IFF.IFF_UP) !== 0 },
    ...{ carrier: false, type: ifi_type, master: undefined, lower: undefined, kind: undefined },
    ...{ slaveKind: undefined, parent: undefined, physSwitchId: undefined, physPortName: undefined },
  }
  eachAttribute('IFLA', payload, ifinfomsg.size, payload.length, (type, _, start, end) =>
    reads[type]?.(found, payload, start, end),
  )
  return found
}

function readInfo(into: Mutable, bytes: Uint8Array, start: number, end: number): void {
  eachAttribute('IFLA_INFO', bytes, start, end, (type, _, from, to) =>
    infoReads[type]?.(into, bytes, from, to),
  )
}

function byNumber(
  rows: readonly (readonly [row: readonly [number, ...unknown[]], read: Read])[],
): (Read | undefined)[] {
  const found: (Read | undefined)[] = []
  for (const [[number], read] of rows) found[number] = read
  return found
}
