/** Reads interfaces (RTM_GETLINK) as facts, and changes the attributes of an interface. */
import type { OfKind } from '../../lib/error-kind.ts'
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

/** Turns an answer of RTM_GETLINK into facts. */
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
    ...(link.IFLA_PHYS_PORT_ID === undefined ? {} : { physPortId: toHex(link.IFLA_PHYS_PORT_ID) }),
    physPortName: link.IFLA_PHYS_PORT_NAME,
    vfs:
      link.IFLA_VFINFO_LIST === undefined
        ? undefined
        : new Map(link.IFLA_VFINFO_LIST.flatMap((vf) => vfAttributesOf(vf) ?? [])),
  }
}

/** The interface with this index, name or altname; undefined when there is none (ENODEV). */
export function findLink(socket: NetlinkSocket, by: number | string, vfs = false): LinkFacts | undefined {
  // VF statistics are left out: they cost a firmware query per VF, and the statistics of 255 VFs overflow a 16-bit length.
  const mask = vfs ? RTEXT_FILTER.RTEXT_FILTER_VF | RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS : 0
  try {
    const [message] = socket.request(getLink(by, mask)).messages
    return message === undefined ? undefined : linkFacts(decodeLink(message))
  } catch (error) {
    if (error instanceof Error && 'errno' in error && error.errno === ENODEV) return undefined
    throw error
  }
}

/** The interface with this name or altname. @throws MissingLink */
export function mustFindLink(socket: NetlinkSocket, name: string): LinkFacts {
  const link = findLink(socket, name)
  if (link === undefined) throw new MissingLink(name)
  return link
}

/**
 * All interfaces of the socket's namespace. The request has a mask because the kernel sizes its buffer by the mask
 * (rtnl_calcit): without a mask the kernel silently leaves out an interface whose message is too long. Hundreds of altnames
 * make the message too long, and a pod can add altnames.
 */
export function allLinks(socket: NetlinkSocket): LinkFacts[] {
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  return socket.dump(dumpLinks(mask)).map((message) => linkFacts(decodeLink(message)))
}

/** Number of tries to set a MAC, and the milliseconds between tries. A VF asks its PF by a mailbox, which may be busy. */
const [macAttempts, macPause] = [3, 20]

/**
 * Number of tries to set an interface up, and the milliseconds between tries: 2 s in all. Some drivers answer EBUSY during a
 * reset that another party has asked for, such as the PF (iavf_open of drivers/net/ethernet/intel/iavf).
 */
const upAttempts = 40
const upPause = 50

/** Returns the ifindex of an interface by its name or altname. @throws MissingLink */
export type IndexOf = (name: string) => number

/**
 * Runs `link.set`, whole or not at all. All attributes go in one request. After a refusal, the attributes that the kernel has
 * changed already are set back to `was`. The interface is read only where its state decides the next step.
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

/** True when only "up" is left of a refused request. The kernel sets MAC, MTU and master before the flags. */
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
 * Sets the interface up and down again, because some VFs (igbvf) may not set their MAC but take the MAC from the PF at a reset,
 * and going up resets such a VF. True when the interface has the MAC afterwards and the rest of `set` is done too.
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
  // The MTU comes first: the driver sizes the queues by the MTU when the interface goes up.
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

/** Sets back the attributes that a refused request has changed, each by a request of its own. A refused one stays changed. */
function takeBack(socket: NetlinkSocket, ifindex: number, op: LinkSet, indexOf: IndexOf): void {
  const asked = kernelsOrder.filter((key) => op.set[key] !== undefined)
  // A single refused attribute is unchanged, except the master: the kernel leaves the old master before it joins the new one.
  if (asked.length === 1 && asked[0] !== 'master') return
  const now = findLink(socket, ifindex)
  if (now === undefined) return
  // The last attribute goes first: some interfaces take a MAC only while they are down, so the flags come before the MAC.
  for (const key of asked.reverse()) {
    const old = op.was[key]
    if (old === undefined) continue
    try {
      const had = key === 'master' ? masterIndex(String(old), indexOf) : old
      const has = key === 'master' ? (now.master ?? 0) : now[key]
      if (had !== has) send(socket, ifindex, { [key]: old }, indexOf)
    } catch {
      // The caller reports the first refusal. A read afterwards finds the attribute that is still changed.
    }
  }
}

/** The order in which do_setlink() (net/core/rtnetlink.c) sets the attributes of one request. It stops at the first refusal. */
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
    // A bond takes no interface that is up, and before Linux 6.1 the kernel sets the flags before the master.
    send(socket, ifindex, { ...set, up: undefined }, indexOf)
    send(socket, ifindex, { up: true }, indexOf)
    return
  }
  const { mac, mtu, alias, master, txqlen, traits } = set
  // Traits need a request of their own: traits and `up` both use the one field for flags.
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

/** The IFF_* bits to set, and the mask of the bits that the request changes. */
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

/** The value of IFLA_MASTER for the name of a master. 0 releases the interface. */
function masterIndex(name: string, indexOf: IndexOf): number {
  return name === '' ? 0 : indexOf(name)
}

/** Adds or removes an alternative name. */
export function changeAltname(socket: NetlinkSocket, add: boolean, ifindex: number, altname: string): void {
  socket.request(add ? addAltNames(ifindex, [altname]) : deleteAltNames(ifindex, [altname]))
}

/** An interface that an operation names does not exist. */
export class MissingLink extends Error implements OfKind {
  readonly kind = 'refusal'
  readonly code = 'ENODEV'
  readonly errno = ENODEV
  constructor(name: string) {
    super(`ENODEV: no interface "${name}"`)
    this.name = 'MissingLink'
  }
}

/** Numbers of the XDP programs. Programs in several modes (XDP_ATTACHED_MULTI) have one attribute per mode. */
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
