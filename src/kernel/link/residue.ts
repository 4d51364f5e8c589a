/**
 * What a pod may have left on an interface of the host, beside what RTM_GETLINK shows of it, and the operations that take it off.
 * In: the interface; out: plain values. Loaded by calls that bring a device home or give one out.
 */
import type { Message, Request } from '../../netlink/message.ts'
import {
  ARPHRD,
  changeLink,
  decodeLink,
  deleteLink,
  dumpLinks,
  getLink,
  IFF,
  newLink,
  RTEXT_FILTER,
} from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { CleanOp, ProgramDetach, Side, XdpMode } from '../../ops/op.ts'
import { detachTcx, detachXdpLinks, tcxPrograms } from '../../sys/bpf-links.ts'
import { ownNetns } from '../../sys/namespaces.ts'
import type { LinkFacts, Residue } from '../api/facts.ts'
import { linkFacts } from './links.ts'
import { xdpOf } from './traits.ts'
import { setEthtool, setNetdev } from './tuning.ts'

export { tuningOf, tuningOps } from './tuning.ts'

/** XDP_FLAGS_SKB_MODE, DRV_MODE and HW_MODE of linux/if_link.h. */
const xdpFlags: Readonly<Record<XdpMode, number>> = { skb: 2, drv: 4, hw: 8 }

/** Looks at the host's interface `link`. One that is enslaved has its master where others would lie. */
export function residueOf(socket: NetlinkSocket, link: LinkFacts): Residue {
  const tcx = (['ingress', 'egress'] as const).flatMap((hook) =>
    tcxPrograms(link.ifindex, hook).map((program) => ({ hook, program })),
  )
  const occupied = link.master === undefined ? occupiedBy(socket, link) : undefined
  return { tcx, ...(occupied === undefined ? {} : { occupied }) }
}

/** A number that no interface has, and IFLA_MACVLAN_MODE MACVLAN_MODE_PASSTHRU of linux/if_link.h as an attribute. */
const noIfindex = 0x7fff_fff1
const passthru = new Uint8Array([8, 0, 1, 0, 8, 0, 0, 0])

/**
 * Why nothing else can lie on the interface, undefined when it is free: what takes its frames (macvlan, macvtap, ipvlan, bridge,
 * bond, MACsec), in whatever namespace, of which nothing else tells. The kernel is asked for a macvlan in mode passthru, which bears
 * no other beside it (macvlan_common_newlink, drivers/net/macvlan.c), under a name that is taken: it looks at that last, since the
 * request has a number, so that EEXIST says that all else is well, and nothing is ever made.
 */
function occupiedBy(socket: NetlinkSocket, link: LinkFacts): string | undefined {
  // What is asked for on a macvlan lies on what that is on itself.
  if (link.type !== ARPHRD.ARPHRD_ETHER || link.kind === 'macvlan' || link.kind === 'macvtap')
    return undefined
  const info = { IFLA_INFO_KIND: 'macvlan', IFLA_INFO_DATA: passthru }
  try {
    socket.request(
      newLink({
        ...{ ifi_index: noIfindex, IFLA_IFNAME: 'lo' },
        ...{ IFLA_LINK: link.ifindex, IFLA_LINKINFO: info },
      }),
    )
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    // EBUSY: another kind than macvlan has it.
    if (error.code === 'EBUSY') return 'an interface in another namespace takes its frames'
    if (error.code === 'EINVAL') return 'a macvlan in another namespace lies on it'
  }
  return undefined
}

/** Kinds that are no children of what IFLA_LINK says: it is their other end, and goes with them. */
const pairs: readonly (string | undefined)[] = ['veth', 'netkit', 'vxcan']

/** Interfaces of the pod, behind `socket`, that lie on the one with `ifindex`, which is in the pod or on the host. */
export function podUppers(socket: NetlinkSocket, side: Side, ifindex: number): readonly LinkFacts[] {
  const mask = { IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS }
  const found = socket
    .dump(dumpLinks(mask))
    .filter((message) => isOn(message, ifindex))
    .map((message) => linkFacts(decodeLink(message)))
    .filter(
      (link) =>
        (side === 'host' ? link.lowerNetns !== undefined : link.lowerNetns === undefined) &&
        (side === 'host' || link.ifindex !== ifindex) &&
        !pairs.includes(link.kind),
    )
  if (side === 'pod' || found.length === 0) return found
  const host = ownNetns()
  try {
    const number = netnsidOf(socket, host.fd)
    return found.filter(({ lowerNetns }) => lowerNetns === number)
  } finally {
    host.close()
  }
}

/** True where IFLA_LINK is that number. Read from the bytes: a pod can have any number of interfaces, of which few are decoded. */
function isOn({ payload }: Message, ifindex: number): boolean {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  for (let at = ifinfomsgSize; at + 4 <= view.byteLength; ) {
    const length = view.getUint16(at, true)
    if (length < 4) return false
    if ((view.getUint16(at + 2, true) & 0x3fff) === IFLA_LINK) return view.getUint32(at + 4, true) === ifindex
    at += (length + 3) & ~3
  }
  return false
}
/** struct ifinfomsg, and linux/if_link.h. */
const ifinfomsgSize = 16
const IFLA_LINK = 5

/** The number by which a namespace knows another one, `fd`; undefined when it knows none. */
function netnsidOf(socket: NetlinkSocket, fd: number): number | undefined {
  // struct rtgenmsg, NETNSA_FD 3; in the answer NETNSA_NSID 1 (linux/net_namespace.h).
  const payload = new Uint8Array(12)
  new DataView(payload.buffer).setUint16(4, 8, true)
  new DataView(payload.buffer).setUint16(6, 3, true)
  new DataView(payload.buffer).setUint32(8, fd, true)
  const ask: Request = { name: 'RTM_GETNSID', type: RTM_GETNSID, flags: 0, payload }
  const [answer] = socket.request(ask).messages
  if (answer === undefined) return undefined
  const found = new DataView(answer.payload.buffer, answer.payload.byteOffset).getInt32(8, true)
  return found < 0 ? undefined : found
}
/** linux/rtnetlink.h */
const RTM_GETNSID = 90

/** Carries out an operation. What is gone already is well. */
export function clean(socket: NetlinkSocket, op: CleanOp): void {
  switch (op.do) {
    case 'program.detach':
      detach(socket, op)
      return
    case 'link.del':
      gone(() => socket.request(deleteLink(op.ifindex)))
      return
    case 'link.flick':
      for (const ifi_flags of [IFF.IFF_UP, 0])
        socket.request(changeLink({ ifi_index: op.ifindex, ifi_flags, ifi_change: IFF.IFF_UP }))
      return
    case 'ethtool.set':
      setEthtool(op.link, op.part, op.value)
      return
    case 'netdev.set':
      setNetdev(op.link, op.file, op.value)
  }
}

function gone(action: () => void): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'ENODEV') throw error
  }
}

/** By netlink where netlink has put it, by its link where bpf(2) has: the kernel lets each take off only its own. */
function detach(socket: NetlinkSocket, { hook, ifindex, program }: ProgramDetach): void {
  if (hook === 'ingress' || hook === 'egress') {
    detachTcx(program, ifindex, hook)
    return
  }
  const xdp = { IFLA_XDP_FD: -1, IFLA_XDP_FLAGS: xdpFlags[hook] }
  try {
    socket.request(changeLink({ ifi_index: ifindex, IFLA_XDP: xdp }))
  } catch (error) {
    const isHeld = error instanceof NetlinkError && error.errno === EBUSY
    if (!isHeld || !detachXdpLinks(program, ifindex, () => isOff(socket, ifindex, program))) throw error
  }
}
const EBUSY = 16

/** True for a program of XDP that is not on the interface, or not any more. */
function isOff(socket: NetlinkSocket, ifindex: number, program: number): boolean {
  const [message] = socket.request(getLink(ifindex)).messages
  return message === undefined || !xdpOf(decodeLink(message).IFLA_XDP).some((one) => one.program === program)
}
