/**
 * Finds the remains of a pod on an interface of the host that RTM_GETLINK does not show (programs, interfaces on top), and
 * removes them. Only the calls that hand out a device, or bring it back, load this module.
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

/** The remains on the host's interface `link`. With a master, `occupied` is not tested: the master takes the frames itself. */
export function residueOf(socket: NetlinkSocket, link: LinkFacts): Residue {
  const tcx = (['ingress', 'egress'] as const).flatMap((hook) =>
    tcxPrograms(link.ifindex, hook).map((program) => ({ hook, program })),
  )
  const occupied = link.master === undefined ? occupiedBy(socket, link) : undefined
  return { tcx, ...(occupied === undefined ? {} : { occupied }) }
}

/** An ifindex that no interface has, and the attribute IFLA_MACVLAN_MODE with MACVLAN_MODE_PASSTHRU (linux/if_link.h). */
const noIfindex = 0x7fff_fff1
const passthru = new Uint8Array([8, 0, 1, 0, 8, 0, 0, 0])

/**
 * The reason why no interface can lie on `link`; undefined when `link` is free. Another interface may take the frames of `link`
 * (macvlan, macvtap, ipvlan, bridge, bond, MACsec) from any namespace, and no read of the kernel shows that. This function asks
 * for a macvlan in mode passthru, which allows no other macvlan beside it (macvlan_common_newlink, drivers/net/macvlan.c), with
 * the name `lo`, which is taken. The request has an ifindex, so the kernel checks the name last: EEXIST tells that `link` is free.
 * The kernel never makes the macvlan.
 */
function occupiedBy(socket: NetlinkSocket, link: LinkFacts): string | undefined {
  // A macvlan on a macvlan lies on the interface below both, so the question would be about that interface.
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
    // EBUSY: an interface of another kind than macvlan takes the frames.
    if (error.code === 'EBUSY') return 'an interface in another namespace takes its frames'
    if (error.code === 'EINVAL') return 'a macvlan in another namespace lies on it'
  }
  return undefined
}

/** Kinds whose IFLA_LINK is the other end of a pair, not an interface below. */
const pairs: readonly (string | undefined)[] = ['veth', 'netkit', 'vxcan']

/** The pod's interfaces that lie on the interface with `ifindex`, which is on `side`. `socket` is open in the pod. */
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

/** True when IFLA_LINK is `ifindex`. Reads the bytes, because a pod can have any number of interfaces and decoding is slow. */
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

/** The number that the socket's namespace has for the namespace `fd`; undefined when it has none. */
function netnsidOf(socket: NetlinkSocket, fd: number): number | undefined {
  // struct rtgenmsg and NETNSA_FD (3); the answer has NETNSA_NSID (1) of linux/net_namespace.h.
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

/** Runs an operation. To remove an object that is gone already succeeds. */
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

/** Detaches a program by netlink or, where bpf(2) has attached it, by its BPF link: each can detach only its own programs. */
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

/** True when the XDP program is not, or no longer, on the interface. */
function isOff(socket: NetlinkSocket, ifindex: number, program: number): boolean {
  const [message] = socket.request(getLink(ifindex)).messages
  return message === undefined || !xdpOf(decodeLink(message).IFLA_XDP).some((one) => one.program === program)
}
