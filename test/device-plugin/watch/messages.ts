// Messages of rtnetlink as the kernel sends them, put together from facts.
import type { Message } from '../../../src/netlink/message.ts'
import { addrMessage } from '../../../src/netlink/rtnl/addr.ts'
import { AF, RTM } from '../../../src/netlink/rtnl/const.ts'
import { ARPHRD, IFF, type LinkRequest, linkMessage } from '../../../src/netlink/rtnl/link.ts'
import { type RouteRequest, RT_TABLE, routeMessage } from '../../../src/netlink/rtnl/route.ts'

/** A message with this payload. */
export function messageOf(type: number, payload: Uint8Array): Message {
  return { type, flags: 0, seq: 0, pid: 0, payload }
}

/** Facts of an interface that differ from those of an Ethernet NIC that is up. */
export interface LinkFacts extends LinkRequest {
  readonly kind?: string
}

/** An interface with hardware behind it, unless `kind` is given; `none`: neither a device nor a kind. */
export function linkNews(index: number, name: string, facts: LinkFacts = {}): Message {
  const { kind, ...rest } = facts
  return messageOf(
    RTM.RTM_NEWLINK,
    linkMessage.encode({
      ...{ ifi_type: ARPHRD.ARPHRD_ETHER, ifi_index: index, ifi_flags: IFF.IFF_UP | IFF.IFF_LOWER_UP },
      ...{ IFLA_IFNAME: name, IFLA_MTU: 1500, IFLA_OPERSTATE: 6 },
      ...(kind === undefined
        ? { IFLA_PARENT_DEV_NAME: `0000:01:00.${index % 8}` }
        : kind === 'none'
          ? {}
          : { IFLA_LINKINFO: { IFLA_INFO_KIND: kind } }),
      ...rest,
    }),
  )
}

/** The same interface goes. */
export function linkGone(message: Message): Message {
  return { ...message, type: RTM.RTM_DELLINK }
}

/** A default route, unless `facts` say otherwise. */
export function routeNews(index: number, facts: RouteRequest = {}, type: number = RTM.RTM_NEWROUTE): Message {
  return messageOf(
    type,
    routeMessage.encode({
      ...{ rtm_family: AF.AF_INET, rtm_table: RT_TABLE.RT_TABLE_MAIN, rtm_type: 1 },
      ...{ RTA_OIF: index, RTA_GATEWAY: '192.0.2.1' },
      ...facts,
    }),
  )
}

/** 192.0.2.9/24 of an interface, or another address. */
export function addressNews(index: number, address = '192.0.2.9', type: number = RTM.RTM_NEWADDR): Message {
  return messageOf(
    type,
    addrMessage.encode({
      ...{ ifa_family: AF.AF_INET, ifa_prefixlen: 24, ifa_index: index },
      ...{ IFA_ADDRESS: address, IFA_LOCAL: address },
    }),
  )
}
