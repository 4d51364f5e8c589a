/**
 * Default routes and addresses of the host, which decide whether the host uses a device. Only those of interfaces that stand on
 * hardware are looked at, so that routing daemons and pods cause no scan. A message that repeats what is known is no change: router
 * advertisements repeat addresses, and programs that manage the network repeat routes.
 */
import type { Message } from '../../../src/netlink/message.ts'
import { decodeAddr } from '../../../src/netlink/rtnl/addr.ts'
import { RTM } from '../../../src/netlink/rtnl/const.ts'
import { decodeRoute, RTM_F, tableOf } from '../../../src/netlink/rtnl/route.ts'
import type { Change } from './change.ts'
import type { LinkTable } from './links.ts'

/** Routes and addresses that are remembered. With more of them, all are forgotten, and messages that repeat them are changes again. */
const mostKnown = 1024
/** Offset of rtm_dst_len in struct rtmsg. */
const destinationLength = 1

/** See the head of this file. */
export class HostTable {
  readonly #links: Pick<LinkTable, 'concerns'>
  /** By the key that the kernel replaces by, the rest as text. */
  readonly #known = new Map<string, string>()

  constructor(links: Pick<LinkTable, 'concerns'>) {
    this.#links = links
  }

  /** After each change of an interface: the kernel removes IPv4 routes of an interface that goes down without a message. */
  forget(): void {
    this.#known.clear()
  }

  /** The change that a message about a route or an address tells of, if it is one. @throws RangeError for a message that can't be decoded */
  take(message: Message): Change | undefined {
    switch (message.type) {
      case RTM.RTM_NEWROUTE:
      case RTM.RTM_DELROUTE:
        return this.#route(message)
      case RTM.RTM_NEWADDR:
      case RTM.RTM_DELADDR:
        return this.#address(message)
      default:
        return undefined
    }
  }

  #route(message: Message): Change | undefined {
    // A table of the internet's routes is a million messages: look at one byte before decoding.
    if (message.payload[destinationLength] !== 0) return undefined
    const route = decodeRoute(message)
    if (route.rtm_flags & RTM_F.RTM_F_CLONED) return undefined
    const hops = route.RTA_MULTIPATH?.map((one) => one.rtnh_ifindex)
    const out = hops ?? (route.RTA_OIF === undefined ? [] : [route.RTA_OIF])
    // A route by the number of a next hop object names no interface here, or names it too.
    const concerns = route.RTA_NH_ID !== undefined || out.some((index) => this.#links.concerns(index))
    const key = `${route.rtm_family} ${tableOf(route)} ${route.rtm_tos} ${route.RTA_PRIORITY ?? 0}`
    const value = JSON.stringify([route.rtm_type, out, route.RTA_GATEWAY, route.RTA_VIA, route.RTA_NH_ID])
    const isNew = this.#note(message.type === RTM.RTM_NEWROUTE, key, value)
    return isNew && concerns ? { kind: 'route', subject: `default by ${out.join(', ')}` } : undefined
  }

  #address(message: Message): Change | undefined {
    const address = decodeAddr(message)
    if (!this.#links.concerns(address.ifa_index)) return undefined
    const text = `${address.IFA_LOCAL ?? address.IFA_ADDRESS}/${address.ifa_prefixlen}`
    const isNew = this.#note(message.type === RTM.RTM_NEWADDR, `${address.ifa_index} ${text}`, '')
    return isNew ? { kind: 'address', subject: text } : undefined
  }

  /** Takes a fact in, or out; false when it was known just so. */
  #note(isThere: boolean, key: string, value: string): boolean {
    if (!isThere) {
      this.#known.delete(key)
      return true
    }
    if (this.#known.get(key) === value) return false
    if (this.#known.size >= mostKnown) this.#known.clear()
    this.#known.set(key, value)
    return true
  }
}
