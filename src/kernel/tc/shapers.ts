/** Shapers: tbf at the root of an interface, and the ifb that one stands in which is for what an interface receives. */

import { decodeLink, deleteLink, getLink, IFF, newLink } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { bytesOfTicks, rateOf } from '../../netlink/tc/actions/police.ts'
import { TC_H, type Tc } from '../../netlink/tc/msg.ts'
import { decodeQdisc, deleteRootQdisc, getQdisc, newTbf, tbfOf } from '../../netlink/tc/qdisc.ts'
import { isShaperMark, shaperMark } from '../../ops/marks/rate-numbers.ts'
import type { ShaperSpec } from '../../ops/op.ts'
import type { ShaperFacts } from '../api/facts.ts'
import { tolerate } from '../errors.ts'

/** What of a spec the qdisc itself is made from. */
type Shape = Pick<ShaperSpec, 'bytesPerSecond' | 'burst' | 'limit' | 'cookie'>

/** Adds a tbf as the root qdisc; EEXIST, which names it, when the interface has one that somebody made. */
export function addShaper(socket: NetlinkSocket, ifindex: number, spec: Shape): void {
  const { handle, mark } = shaperMark(spec.cookie)
  try {
    socket.request(newTbf(ifindex, handle, { ...spec, mark }))
  } catch (error) {
    const there = error instanceof NetlinkError && error.code === 'EEXIST' && rootName(socket, ifindex)
    if (!there) throw error
    const { operation, errno } = error
    throw new NetlinkError({ operation, errno, extack: `there is a root qdisc already, ${there}` })
  }
}

/** Kind and handle of the root qdisc that somebody made, as tc prints them. The default one has no handle. */
function rootName(socket: NetlinkSocket, ifindex: number): string | undefined {
  const found = rootOf(socket, ifindex)
  if (found === undefined || found.tcm_handle === 0) return undefined
  return `${found.TCA_KIND} ${(found.tcm_handle >>> 16).toString(16)}:`
}

/** The root qdisc of an interface; undefined without one, and without the interface. */
function rootOf(socket: NetlinkSocket, ifindex: number): Tc | undefined {
  const reply = tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () =>
    socket.request(getQdisc(ifindex, TC_H.TC_H_ROOT)),
  )
  const found = reply?.echo && decodeQdisc(reply.echo)
  return found?.tcm_ifindex === ifindex && found.tcm_parent === TC_H.TC_H_ROOT ? found : undefined
}

/** The tbf of `cookie` at the root of an interface. */
export function shaperOn(
  socket: NetlinkSocket,
  ifindex: number,
  cookie: string | undefined,
): ShaperFacts | undefined {
  const found = findShaper(socket, ifindex, cookie)
  const { TCA_TBF_PARMS: parms, TCA_TBF_RATE64: rate64 } = (found && tbfOf(found)) ?? {}
  if (parms === undefined) return undefined
  const bytesPerSecond = rateOf(parms.rate, rate64)
  return { bytesPerSecond, burst: bytesOfTicks(parms.buffer, bytesPerSecond), limit: parms.limit }
}

/**
 * The qdisc itself, with all that the kernel says of it. `cookie` is that of the limit, undefined for a shaper of a version
 * that marked none. A `tc qdisc change` takes the mark away that stands beside the handle; another's mark is another's shaper.
 */
export function findShaper(
  socket: NetlinkSocket,
  ifindex: number,
  cookie: string | undefined,
): Tc | undefined {
  const { handle, mark } = shaperMark(cookie)
  const root = rootOf(socket, ifindex)
  const parms = root?.tcm_handle === handle ? tbfOf(root)?.TCA_TBF_PARMS : undefined
  return parms !== undefined && (parms.mtu === 0 || parms.mtu === mark) ? root : undefined
}

/** Handle of the tbf of whichever attachment at the root of an interface; undefined when there is none. */
export function shapedBy(socket: NetlinkSocket, ifindex: number): number | undefined {
  const root = rootOf(socket, ifindex)
  const parms = root && tbfOf(root)?.TCA_TBF_PARMS
  const handle = root?.tcm_handle ?? 0
  return parms !== undefined && isShaperMark({ handle, mark: parms.mtu }) ? handle : undefined
}

/** Removes the tbf of `cookie` from the root of an interface; fine when it, or the interface, is gone. Another one's stays. */
export function removeShaper(socket: NetlinkSocket, ifindex: number, cookie: string | undefined): void {
  const found = findShaper(socket, ifindex, cookie)
  if (found === undefined) return
  tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.request(deleteRootQdisc(ifindex, found.tcm_handle)))
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
