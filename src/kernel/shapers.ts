/** Shapers: tbf at the root of an interface, and the ifb that one stands in which is for what an interface receives. */
import { shaperHandle } from '../lib/rate-numbers.ts'
import { decodeLink, deleteLink, getLink, IFF, newLink } from '../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import { TC_H, type Tc } from '../netlink/tc/msg.ts'
import { bytesOfTicks, rateOf } from '../netlink/tc/police.ts'
import { decodeQdisc, deleteRootQdisc, dumpQdiscs, newTbf, tbfOf } from '../netlink/tc/qdisc.ts'
import type { TbfSpec } from '../netlink/tc/tbf.ts'
import type { ShaperFacts } from './facts.ts'
import { tolerate } from './refusals.ts'

/** Adds a tbf as the root qdisc; EEXIST, which names it, when the interface has one that somebody made. */
export function addShaper(socket: NetlinkSocket, ifindex: number, spec: TbfSpec): void {
  try {
    socket.request(newTbf(ifindex, shaperHandle, spec))
  } catch (error) {
    const there = error instanceof NetlinkError && error.code === 'EEXIST' && rootOf(socket, ifindex)
    if (!there) throw error
    const { operation, errno } = error
    throw new NetlinkError({ operation, errno, extack: `there is a root qdisc already, ${there}` })
  }
}

/** Kind and handle of the root qdisc that somebody made, as tc prints them. The default one has no handle. */
function rootOf(socket: NetlinkSocket, ifindex: number): string | undefined {
  const found = socket
    .dump(dumpQdiscs(ifindex))
    .map(decodeQdisc)
    .find((one) => one.tcm_ifindex === ifindex && one.tcm_parent === TC_H.TC_H_ROOT && one.tcm_handle !== 0)
  return found && `${found.TCA_KIND} ${(found.tcm_handle >>> 16).toString(16)}:`
}

/** The tbf of ours at the root of an interface. */
export function shaperOn(socket: NetlinkSocket, ifindex: number): ShaperFacts | undefined {
  const found = findShaper(socket, ifindex)
  const { TCA_TBF_PARMS: parms, TCA_TBF_RATE64: rate64 } = (found && tbfOf(found)) ?? {}
  if (parms === undefined) return undefined
  const bytesPerSecond = rateOf(parms.rate, rate64)
  return { bytesPerSecond, burst: bytesOfTicks(parms.buffer, bytesPerSecond), limit: parms.limit }
}

/** The qdisc itself, with all that the kernel says of it. */
export function findShaper(socket: NetlinkSocket, ifindex: number): Tc | undefined {
  return socket
    .dump(dumpQdiscs(ifindex))
    .map(decodeQdisc)
    .find((qdisc) => {
      if (qdisc.tcm_ifindex !== ifindex || qdisc.tcm_parent !== TC_H.TC_H_ROOT) return false
      return qdisc.tcm_handle === shaperHandle && tbfOf(qdisc)?.TCA_TBF_PARMS !== undefined
    })
}

/** Removes our tbf from the root of an interface; fine when it, or the interface, is gone. */
export function removeShaper(socket: NetlinkSocket, ifindex: number): void {
  tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.request(deleteRootQdisc(ifindex, shaperHandle)))
}

/** Makes an ifb and sets it up, in one request. */
export function addIfb(
  socket: NetlinkSocket,
  { name, mac, mtu }: { readonly name: string; readonly mac: string; readonly mtu: number },
): void {
  socket.request(
    newLink({
      ifi_flags: IFF.IFF_UP,
      ifi_change: IFF.IFF_UP,
      IFLA_IFNAME: name,
      IFLA_ADDRESS: mac,
      IFLA_MTU: mtu,
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'ifb' },
    }),
  )
}

/** Removes an ifb by name with all that hangs on it; fine when there is none. Another interface of that name stays. */
export function removeIfb(socket: NetlinkSocket, name: string): void {
  tolerate(['ENODEV'], () => {
    const [message] = socket.request(getLink(name)).messages
    const link = message && decodeLink(message)
    if (link?.IFLA_LINKINFO?.IFLA_INFO_KIND === 'ifb') socket.request(deleteLink(link.ifi_index))
  })
}
