/** Adds, finds and removes shapers (tbf at the root of an interface) and IFBs. The shaper of received traffic needs an IFB. */

import type { BackgroundSocket } from '../../netlink/background.ts'
import { decodeLink, getLink, IFF, newLink } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { bytesOfTicks, rateOf } from '../../netlink/tc/actions/police.ts'
import { TC_H, type Tc } from '../../netlink/tc/msg.ts'
import { decodeQdisc, deleteRootQdisc, getQdisc, newTbf, tbfOf } from '../../netlink/tc/qdisc.ts'
import { isShaperMark, shaperMark } from '../../ops/marks/rate-numbers.ts'
import type { ShaperSpec } from '../../ops/op.ts'
import type { ShaperFacts } from '../api/facts.ts'
import { tolerate } from '../errors.ts'
import { deleteInterface } from './delete-link.ts'

/** The part of a spec that makes the qdisc: rate in bytes per second, burst and limit in bytes, cookie. */
type Shape = Pick<ShaperSpec, 'bytesPerSecond' | 'burst' | 'limit' | 'cookie'>

/** Adds a tbf as the root qdisc. @throws NetlinkError EEXIST, with the name of the root qdisc that the interface has already */
export function addShaper(socket: NetlinkSocket, ifindex: number, spec: Shape): void {
  const { handle, mark } = shaperMark(spec.cookie)
  try {
    socket.request(newTbf(ifindex, handle, { ...spec, mark }))
  } catch (error) {
    const there = error instanceof NetlinkError && error.code === 'EEXIST' && rootName(socket, ifindex)
    if (!there) throw error
    const { operation, errno } = error
    throw new NetlinkError({ operation, errno, extack: `the interface has the root qdisc ${there} already` })
  }
}

/** Kind and handle of the root qdisc, as tc prints them; undefined for the kernel's default qdisc, which has no handle. */
function rootName(socket: NetlinkSocket, ifindex: number): string | undefined {
  const found = rootOf(socket, ifindex)
  if (found === undefined || found.tcm_handle === 0) return undefined
  return `${found.TCA_KIND} ${(found.tcm_handle >>> 16).toString(16)}:`
}

/** The root qdisc of an interface; undefined when the qdisc or the interface does not exist. */
function rootOf(socket: NetlinkSocket, ifindex: number): Tc | undefined {
  const reply = tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () =>
    socket.request(getQdisc(ifindex, TC_H.TC_H_ROOT)),
  )
  const found = reply?.echo && decodeQdisc(reply.echo)
  return found?.tcm_ifindex === ifindex && found.tcm_parent === TC_H.TC_H_ROOT ? found : undefined
}

/** The facts of the shaper with `cookie` at the root of an interface. Rate in bytes per second, burst and limit in bytes. */
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
 * The qdisc of the shaper with `cookie`, as the kernel shows it. `cookie` is undefined for a shaper of an old version, which had
 * no mark. The mark is the mtu of the tbf, beside the handle. mtu 0 is accepted, because `tc qdisc change` clears it. Another mark
 * means another attachment's shaper.
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

/** Handle of a shaper of ours, of any attachment, at the root of an interface; undefined when there is none. */
export function shapedBy(socket: NetlinkSocket, ifindex: number): number | undefined {
  const root = rootOf(socket, ifindex)
  const parms = root && tbfOf(root)?.TCA_TBF_PARMS
  const handle = root?.tcm_handle ?? 0
  return parms !== undefined && isShaperMark({ handle, mark: parms.mtu }) ? handle : undefined
}

/** Removes the shaper with `cookie`. Succeeds when the shaper or the interface is gone. Another attachment's shaper stays. */
export function removeShaper(socket: NetlinkSocket, ifindex: number, cookie: string | undefined): void {
  const found = findShaper(socket, ifindex, cookie)
  if (found === undefined) return
  tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.request(deleteRootQdisc(ifindex, found.tcm_handle)))
}

/** Creates an IFB and sets it up, in one request. */
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

/**
 * Removes an IFB by name, with its qdiscs. Succeeds when there is none. An interface of another kind with that name stays. `background`
 * as for {@link deleteInterface}.
 */
export function removeIfb(socket: NetlinkSocket, name: string, background?: BackgroundSocket): void {
  tolerate(['ENODEV'], () => {
    const [message] = socket.request(getLink(name)).messages
    const link = message && decodeLink(message)
    if (link?.IFLA_LINKINFO?.IFLA_INFO_KIND === 'ifb') deleteInterface(socket, link.ifi_index, background)
  })
}
