/** Interfaces: RTM_GETLINK answers as facts, and the operations on an interface itself. */
import { toHex } from '../../lib/hex.ts'
import {
  addAltNames,
  changeLink,
  decodeLink,
  deleteAltNames,
  dumpLinks,
  getLink,
  IFF,
  type Link,
  type LinkRequest,
  RTEXT_FILTER,
  type vlanData,
} from '../../netlink/rtnl/link.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { LinkAttributes, LinkSet } from '../../ops/op.ts'
import { sleep } from '../../sys/sleep.ts'
import type { LinkFacts } from '../api/facts.ts'
import { traitsOf, traitsRequest, xdpOf } from './traits.ts'
import { vfAttributesOf } from './vfs.ts'

const EBUSY = 16
const ENODEV = 19
const ETH_P_8021Q = 0x8100

/** An interface as facts. */
export function linkFacts(link: Link): LinkFacts {
  const info = link.IFLA_LINKINFO
  const data = info?.IFLA_INFO_KIND === 'vlan' ? info.IFLA_INFO_DATA : undefined
  return {
    ifindex: link.ifi_index,
    name: link.IFLA_IFNAME ?? '',
    altnames: link.IFLA_PROP_LIST ?? [],
    mac: link.IFLA_ADDRESS ?? '',
    permanentMac: link.IFLA_PERM_ADDRESS,
    mtu: link.IFLA_MTU ?? 0,
    up: (link.ifi_flags & IFF.IFF_UP) !== 0,
    alias: link.IFLA_IFALIAS ?? '',
    promisc: (link.ifi_flags & IFF.IFF_PROMISC) !== 0,
    allmulti: (link.ifi_flags & IFF.IFF_ALLMULTI) !== 0,
    txqlen: link.IFLA_TXQLEN ?? 0,
    type: link.ifi_type,
    traits: traitsOf(link),
    ...(link.IFLA_PROMISCUITY === undefined ? {} : { promiscuity: link.IFLA_PROMISCUITY }),
    carrier: link.IFLA_CARRIER === 1,
    master: link.IFLA_MASTER,
    lower: link.IFLA_LINK,
    ...(link.IFLA_LINK_NETNSID === undefined ? {} : { lowerNetns: link.IFLA_LINK_NETNSID }),
    kind: info?.IFLA_INFO_KIND,
    vlanId: data === undefined || data instanceof Uint8Array ? undefined : vlanIdOf(data),
    slaveKind: info?.IFLA_INFO_SLAVE_KIND,
    ...(link.IFLA_QDISC === undefined ? {} : { qdisc: link.IFLA_QDISC }),
    ...(info?.IFLA_INFO_SLAVE_DATA === undefined ? {} : { slaveData: info.IFLA_INFO_SLAVE_DATA }),
    ...(link.IFLA_AF_SPEC === undefined ? {} : { afSpec: link.IFLA_AF_SPEC }),
    xdp: xdpPrograms(link.IFLA_XDP),
    xdpIn: xdpOf(link.IFLA_XDP),
    parent: link.IFLA_PARENT_DEV_NAME,
    parentBus: link.IFLA_PARENT_DEV_BUS_NAME,
    physSwitchId: link.IFLA_PHYS_SWITCH_ID === undefined ? undefined : toHex(link.IFLA_PHYS_SWITCH_ID),
    physPortName: link.IFLA_PHYS_PORT_NAME,
    vfs:
      link.IFLA_VFINFO_LIST === undefined
        ? undefined
        : new Map(link.IFLA_VFINFO_LIST.flatMap((vf) => vfAttributesOf(vf) ?? [])),
  }
}

/** The interface with this index, name or altname; undefined when there is none (ENODEV). */
export function findLink(socket: NetlinkSocket, by: number | string, vfs = false): LinkFacts | undefined {
  // Without VF statistics: they cost a firmware query per VF, and those of 255 VFs wrap a 16-bit length.
  const mask = vfs ? RTEXT_FILTER.RTEXT_FILTER_VF | RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS : 0
  try {
    const [message] = socket.request(getLink(by, mask)).messages
    return message === undefined ? undefined : linkFacts(decodeLink(message))
  } catch (error) {
    if (error instanceof Error && 'errno' in error && error.errno === ENODEV) return undefined
    throw error
  }
}

/** The interface with this name. Throws ENODEV-like words when it is not there. */
export function mustFindLink(socket: NetlinkSocket, name: string): LinkFacts {
  const link = findLink(socket, name)
  if (link === undefined) throw new MissingLink(name)
  return link
}

/**
 * All interfaces of the socket's namespace. Without any mask the kernel silently leaves out an interface whose message
 * outgrows its buffer (rtnl_calcit), as one with hundreds of altnames does, and a pod can give its interface those.
 */
export function allLinks(socket: NetlinkSocket): LinkFacts[] {
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  return socket.dump(dumpLinks(mask)).map((message) => linkFacts(decodeLink(message)))
}

/** A VF asks its PF over a mailbox that may be busy: so often is a refused MAC asked for, so many milliseconds apart. */
const macAttempts = 3
const macPause = 20

/**
 * Some drivers answer EBUSY to "up" while they are busy with a reset that somebody else has asked for, as of the PF
 * (iavf_open of drivers/net/ethernet/intel/iavf): so often is it asked again, so many milliseconds apart, 2 s in all.
 */
const upAttempts = 40
const upPause = 50

/** The ifindex of an interface by its name or altname; throws MissingLink. */
export type IndexOf = (name: string) => number

/**
 * Carries out `link.set`, whole or not at all: one request, and after a refusal what of it was done is set back to
 * `was`. The interface is asked for what it has only where that decides something.
 */
export function setLinkAttributes(socket: NetlinkSocket, op: LinkSet, indexOf: IndexOf): void {
  const ifindex = op.ifindex ?? indexOf(op.name)
  const { mac, ...others } = op.set
  const asks = mac !== undefined && op.ifDifferent === true
  const set: LinkAttributes = asks && findLink(socket, ifindex)?.mac === mac ? others : op.set
  for (let attempt = 1; ; attempt++) {
    try {
      send(socket, ifindex, set, indexOf)
      return
    } catch (error) {
      if (op.mayFail !== true) {
        if (set.mac !== undefined && attempt < macAttempts) {
          sleep(macPause)
          continue
        }
        if (attempt < upAttempts && isBusy(error) && isDoneUpToFlags(socket, ifindex, set, indexOf)) {
          sleep(upPause)
          continue
        }
      }
      if (op.mayFail !== true && takesMacOnReset(socket, ifindex, set, indexOf)) return
      takeBack(socket, ifindex, op, indexOf)
      if (op.mayFail === true) return
      throw error
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errno' in error && error.errno === EBUSY
}

/** True when of a refused request only going up is left: what the kernel takes before the flags is as asked for. */
function isDoneUpToFlags(
  socket: NetlinkSocket,
  ifindex: number,
  { mac, mtu, master, up }: LinkAttributes,
  indexOf: IndexOf,
): boolean {
  const link = up === true ? findLink(socket, ifindex) : undefined
  if (link === undefined || link.up) return false
  if (mac !== undefined && link.mac !== mac) return false
  if (mtu !== undefined && link.mtu !== mtu) return false
  return master === undefined || (link.master ?? 0) === masterIndex(master, indexOf)
}

/**
 * Some VFs may not set their own MAC but take the one that the PF has set when they are reset, which going up and
 * down does (igbvf). True when that gave the interface its MAC, and everything else of `set` is done too.
 */
function takesMacOnReset(
  socket: NetlinkSocket,
  ifindex: number,
  set: LinkAttributes,
  indexOf: IndexOf,
): boolean {
  const { mac, ...others } = set
  const link = mac === undefined ? undefined : findLink(socket, ifindex)
  if (link === undefined || link.up || link.mac === mac) return false
  // The MTU first: going up makes the interface's queues by it.
  send(socket, ifindex, { mtu: set.mtu }, indexOf)
  send(socket, ifindex, { up: true }, indexOf)
  send(socket, ifindex, { up: false }, indexOf)
  if (findLink(socket, ifindex)?.mac !== mac) {
    if (set.mtu !== undefined) send(socket, ifindex, { mtu: link.mtu }, indexOf)
    return false
  }
  send(socket, ifindex, others, indexOf)
  return true
}

/** Sets back what a refused request has changed already, each attribute by itself; what can't be set back stays. */
function takeBack(socket: NetlinkSocket, ifindex: number, op: LinkSet, indexOf: IndexOf): void {
  const asked = kernelsOrder.filter((key) => op.set[key] !== undefined)
  // One that was refused is as it was, but for a master: the old one is left before the new one is asked.
  if (asked.length === 1 && asked[0] !== 'master') return
  const now = findLink(socket, ifindex)
  if (now === undefined) return
  // Last first, so that flags are back before a MAC that an interface takes only while it is down.
  for (const key of asked.reverse()) {
    const old = op.was[key]
    if (old === undefined) continue
    try {
      const had = key === 'master' ? masterIndex(String(old), indexOf) : old
      const has = key === 'master' ? (now.master ?? 0) : now[key]
      if (had !== has) send(socket, ifindex, { [key]: old }, indexOf)
    } catch {
      // The refusal that led here is the one to report; a look afterwards finds what is left.
    }
  }
}

/** The order in which do_setlink() (net/core/rtnetlink.c) takes the attributes of one request; the first refusal ends it. */
const kernelsOrder = [
  'mac',
  'mtu',
  'alias',
  'master',
  'up',
  'promisc',
  'allmulti',
  'txqlen',
  'traits',
] as const

function send(socket: NetlinkSocket, ifindex: number, set: LinkAttributes, indexOf: IndexOf): void {
  if (set.master !== undefined && set.master !== '' && set.up === true) {
    // A bond takes no interface that is up, and before Linux 6.1 the flags come before the master.
    send(socket, ifindex, { ...set, up: undefined }, indexOf)
    send(socket, ifindex, { up: true }, indexOf)
    return
  }
  const { mac, mtu, alias, master, txqlen, traits } = set
  // Both have flags, of which a request has one field.
  if (traits !== undefined && Object.keys(set).length > 1) {
    send(socket, ifindex, { ...set, traits: undefined }, indexOf)
    send(socket, ifindex, { traits }, indexOf)
    return
  }
  const flags = flagsOf(set)
  const change: LinkRequest = {
    ifi_index: ifindex,
    ...(mac === undefined ? {} : { IFLA_ADDRESS: mac }),
    ...(mtu === undefined ? {} : { IFLA_MTU: mtu }),
    ...(alias === undefined ? {} : { IFLA_IFALIAS: alias }),
    ...(master === undefined ? {} : { IFLA_MASTER: masterIndex(master, indexOf) }),
    ...(flags.ifi_change === 0 ? {} : flags),
    ...(txqlen === undefined ? {} : { IFLA_TXQLEN: txqlen }),
    ...(traits === undefined ? {} : traitsRequest(traits)),
  }
  if (Object.keys(change).length > 1) socket.request(changeLink(change))
}

/** IFF_* bits and the mask of those that are meant. */
function flagsOf({ up, promisc, allmulti }: LinkAttributes): { ifi_flags: number; ifi_change: number } {
  const bits = [
    [up, IFF.IFF_UP],
    [promisc, IFF.IFF_PROMISC],
    [allmulti, IFF.IFF_ALLMULTI],
  ] as const
  let [ifi_flags, ifi_change] = [0, 0]
  for (const [wanted, bit] of bits) {
    if (wanted !== undefined) ifi_change |= bit
    if (wanted === true) ifi_flags |= bit
  }
  return { ifi_flags, ifi_change }
}

/** What IFLA_MASTER is for a master's name; 0 releases. */
function masterIndex(name: string, indexOf: IndexOf): number {
  return name === '' ? 0 : indexOf(name)
}

/** Adds or removes an alternative name. */
export function changeAltname(socket: NetlinkSocket, add: boolean, ifindex: number, altname: string): void {
  socket.request(add ? addAltNames(ifindex, [altname]) : deleteAltNames(ifindex, [altname]))
}

/** An interface that an operation names does not exist. */
export class MissingLink extends Error {
  readonly code = 'ENODEV'
  readonly errno = ENODEV
  constructor(name: string) {
    super(`ENODEV: no interface "${name}"`)
    this.name = 'MissingLink'
  }
}

/** With programs in several places (IFLA_XDP_ATTACHED XDP_ATTACHED_MULTI) each has an attribute of its own. */
function xdpPrograms(found: Link['IFLA_XDP']): number[] {
  const { IFLA_XDP_PROG_ID: one, IFLA_XDP_DRV_PROG_ID: drv, IFLA_XDP_SKB_PROG_ID: skb } = found ?? {}
  const ids = [one, drv, skb, found?.IFLA_XDP_HW_PROG_ID].filter((id) => id !== undefined && id !== 0)
  return [...new Set(ids as number[])]
}

function vlanIdOf(data: unknown): number | undefined {
  if (typeof data !== 'object' || data === null || !('IFLA_VLAN_ID' in data)) return undefined
  const { IFLA_VLAN_ID: id, IFLA_VLAN_PROTOCOL: protocol = ETH_P_8021Q } = data as {
    [K in keyof (typeof vlanData)['table']]?: unknown
  }
  return typeof id === 'number' && protocol === ETH_P_8021Q ? id : undefined
}
