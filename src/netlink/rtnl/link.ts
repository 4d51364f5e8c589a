// Network interfaces: RTM_*LINK, struct ifinfomsg and IFLA_* of linux/if_link.h.
import { type AttrsOf, attrs, byKind } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { struct } from '../codec/struct.ts'
import { rememberBare } from '../codec/tlv.ts'
import { be16, bytes, cstr, ip, lladdr, s32, u8, u16, u32, type Value } from '../codec/wire.ts'
import { type FamilyRequest, family, type Message, NLM_F, type Request } from '../message.ts'
import { bridgeData } from './bridge-attributes.ts'
import { RTM } from './const.ts'
import { vfInfoList } from './vf.ts'

/** struct ifinfomsg, linux/rtnetlink.h. Of ifi_flags only the bits in ifi_change are changed. */
export const ifinfomsg = struct('ifinfomsg', [
  ['ifi_family', u8],
  ['_pad', u8],
  ['ifi_type', u16],
  ['ifi_index', s32],
  ['ifi_flags', u32],
  ['ifi_change', u32],
])

/** RTEXT_FILTER_* of linux/rtnetlink.h for IFLA_EXT_MASK. SKIP_STATS, because statistics of many VFs overflow a 16-bit length. */
export const RTEXT_FILTER = {
  RTEXT_FILTER_VF: 1,
  RTEXT_FILTER_BRVLAN_COMPRESSED: 4,
  RTEXT_FILTER_SKIP_STATS: 8,
} as const
/** IFF_* of linux/if.h. */
export const IFF = {
  IFF_UP: 1,
  IFF_BROADCAST: 2,
  IFF_LOOPBACK: 8,
  IFF_RUNNING: 0x40,
  IFF_NOARP: 0x80,
  IFF_PROMISC: 0x100,
  IFF_ALLMULTI: 0x200,
  IFF_LOWER_UP: 0x10000,
} as const
/** ARPHRD_* of linux/if_arp.h: the values of ifi_type. */
export const ARPHRD = { ARPHRD_ETHER: 1, ARPHRD_INFINIBAND: 32, ARPHRD_LOOPBACK: 772 } as const
/** IF_OPER_* of linux/if.h for IFLA_OPERSTATE. */
export const IF_OPER = {
  IF_OPER_UNKNOWN: 0,
  IF_OPER_NOTPRESENT: 1,
  IF_OPER_DOWN: 2,
  IF_OPER_LOWERLAYERDOWN: 3,
  IF_OPER_TESTING: 4,
  IF_OPER_DORMANT: 5,
  IF_OPER_UP: 6,
} as const
/** IFLA_VLAN_* of linux/if_link.h. */
export const vlanData = attrs('IFLA_VLAN', () => ({
  IFLA_VLAN_ID: [1, u16],
  IFLA_VLAN_FLAGS: [
    2,
    struct('ifla_vlan_flags', [
      ['flags', u32],
      ['mask', u32],
    ]),
  ],
  IFLA_VLAN_PROTOCOL: [5, be16],
}))

/** The IFLA_* that the other end of a new veth pair takes. */
export const vethPeer = attrs('IFLA', () => ({
  IFLA_ADDRESS: [1, lladdr],
  IFLA_IFNAME: [3, cstr(16)],
  IFLA_MTU: [4, u32],
  IFLA_NET_NS_PID: [19, u32],
  IFLA_NET_NS_FD: [28, u32],
}))

/** VETH_INFO_* of linux/veth.h: the other end is a link message of its own. */
export const vethData = attrs('VETH_INFO', () => ({
  VETH_INFO_PEER: [1, family(ifinfomsg, vethPeer)],
}))

/** IFLA_INFO_* of linux/if_link.h. */
export const linkInfo = attrs('IFLA_INFO', () => ({
  IFLA_INFO_KIND: [1, cstr(64)],
  IFLA_INFO_DATA: [
    2,
    byKind('IFLA_INFO_KIND', { vlan: vlanData, veth: vethData, bridge: bridgeData }),
    'noflag',
  ],
  IFLA_INFO_XSTATS: [3, bytes()],
  IFLA_INFO_SLAVE_KIND: [4, cstr(64)],
  IFLA_INFO_SLAVE_DATA: [5, bytes()],
}))

/** IFLA_XDP_* of linux/if_link.h: programs that see a frame before everybody else, one for each place of XDP. */
export const xdp = attrs('IFLA_XDP', () => ({
  IFLA_XDP_FD: [1, s32],
  IFLA_XDP_ATTACHED: [2, u8],
  IFLA_XDP_FLAGS: [3, u32],
  IFLA_XDP_PROG_ID: [4, u32],
  IFLA_XDP_DRV_PROG_ID: [5, u32],
  IFLA_XDP_SKB_PROG_ID: [6, u32],
  IFLA_XDP_HW_PROG_ID: [7, u32],
}))

/** IFLA_PROTO_DOWN_REASON_* of linux/if_link.h: bits that keep IFLA_PROTO_DOWN set. */
export const protoDownReason = attrs('IFLA_PROTO_DOWN_REASON', () => ({
  IFLA_PROTO_DOWN_REASON_MASK: [1, u32],
  IFLA_PROTO_DOWN_REASON_VALUE: [2, u32],
}))

/** IFLA_PROP_LIST: alternative names. */
export const propList = repeated('IFLA_ALT_IFNAME', [53, cstr(128)])

/** IFLA_INET_*, IFLA_INET6_* of linux/if_link.h: settings of an interface, the kernel's arrays of int. */
const inetSpec = attrs('IFLA_INET', () => ({ IFLA_INET_CONF: [1, bytes()] }))
const inet6Spec = attrs('IFLA_INET6', () => ({ IFLA_INET6_CONF: [2, bytes()], IFLA_INET6_TOKEN: [7, ip] }))

/** IFLA_AF_SPEC of a link message of family AF_UNSPEC, by address family. Large, so only its readers decode it. */
export const afSpec = attrs('AF', () => ({ AF_INET: [2, inetSpec], AF_INET6: [10, inet6Spec] }))

/** IFLA_* of linux/if_link.h; types from ifla_policy and rtnl_fill_ifinfo, net/core/rtnetlink.c. */
export const link = attrs('IFLA', () => ({
  IFLA_ADDRESS: [1, lladdr],
  IFLA_BROADCAST: [2, lladdr],
  IFLA_IFNAME: [3, cstr(16)],
  IFLA_MTU: [4, u32],
  IFLA_LINK: [5, u32],
  IFLA_QDISC: [6, cstr(64)],
  IFLA_STATS: [7, bytes()],
  IFLA_MASTER: [10, u32],
  IFLA_WIRELESS: [11, bytes()],
  IFLA_PROTINFO: [12, bytes()],
  IFLA_TXQLEN: [13, u32],
  IFLA_MAP: [14, bytes()],
  IFLA_OPERSTATE: [16, u8],
  IFLA_LINKMODE: [17, u8],
  IFLA_LINKINFO: [18, linkInfo, 'noflag'],
  IFLA_NET_NS_PID: [19, u32],
  IFLA_IFALIAS: [20, cstr(256)],
  IFLA_NUM_VF: [21, u32],
  IFLA_VFINFO_LIST: [22, vfInfoList, 'noflag'],
  IFLA_STATS64: [23, bytes()],
  IFLA_AF_SPEC: [26, bytes()],
  IFLA_GROUP: [27, u32],
  IFLA_NET_NS_FD: [28, u32],
  IFLA_EXT_MASK: [29, u32],
  IFLA_PROMISCUITY: [30, u32],
  IFLA_NUM_TX_QUEUES: [31, u32],
  IFLA_NUM_RX_QUEUES: [32, u32],
  IFLA_CARRIER: [33, u8],
  IFLA_PHYS_PORT_ID: [34, bytes()],
  IFLA_CARRIER_CHANGES: [35, u32],
  IFLA_PHYS_SWITCH_ID: [36, bytes()],
  IFLA_LINK_NETNSID: [37, s32],
  IFLA_PHYS_PORT_NAME: [38, cstr(64)],
  IFLA_PROTO_DOWN: [39, u8],
  IFLA_GSO_MAX_SEGS: [40, u32],
  IFLA_GSO_MAX_SIZE: [41, u32],
  IFLA_XDP: [43, xdp, 'noflag'],
  IFLA_EVENT: [44, u32],
  IFLA_NEW_NETNSID: [45, s32],
  IFLA_TARGET_NETNSID: [46, s32],
  IFLA_CARRIER_UP_COUNT: [47, u32],
  IFLA_CARRIER_DOWN_COUNT: [48, u32],
  IFLA_NEW_IFINDEX: [49, s32],
  IFLA_MIN_MTU: [50, u32],
  IFLA_MAX_MTU: [51, u32],
  IFLA_PROP_LIST: [52, propList],
  IFLA_ALT_IFNAME: [53, cstr(128)],
  IFLA_PERM_ADDRESS: [54, lladdr],
  IFLA_PROTO_DOWN_REASON: [55, protoDownReason],
  IFLA_PARENT_DEV_NAME: [56, cstr(256)],
  IFLA_PARENT_DEV_BUS_NAME: [57, cstr(256)],
  IFLA_GRO_MAX_SIZE: [58, u32],
  IFLA_TSO_MAX_SIZE: [59, u32],
  IFLA_TSO_MAX_SEGS: [60, u32],
  IFLA_ALLMULTI: [61, u32],
  IFLA_DEVLINK_PORT: [62, bytes()],
  IFLA_GSO_IPV4_MAX_SIZE: [63, u32],
  IFLA_GRO_IPV4_MAX_SIZE: [64, u32],
  IFLA_DPLL_PIN: [65, bytes()],
}))
export type LinkAttributes = AttrsOf<(typeof link)['table']>

/** The payload of RTM_*LINK. */
export const linkMessage = family(ifinfomsg, link)
/** A link as the kernel reports it. */
export type Link = Value<typeof linkMessage>
/** A link in a request: absent header fields are 0. */
export type LinkRequest = FamilyRequest<(typeof ifinfomsg)['fields'], (typeof link)['table']>

/** Asks for one link by index or name; `extMask` is RTEXT_FILTER. The reply's first message is the link. */
export function getLink(by: number | string, extMask = 0): Request {
  const which: LinkRequest =
    typeof by === 'number'
      ? { ifi_index: by }
      : by.length > 15
        ? { IFLA_ALT_IFNAME: by }
        : { IFLA_IFNAME: by }
  return linkMessage.request(
    'RTM_GETLINK',
    RTM.RTM_GETLINK,
    0,
    extMask === 0 ? which : { ...which, IFLA_EXT_MASK: extMask },
  )
}

/** Asks for the link with `index` in another namespace: `netnsid` is the number that the socket's namespace has for it (Linux 4.15). */
export function getLinkIn(netnsid: number, index: number): Request {
  return linkMessage.request('RTM_GETLINK', RTM.RTM_GETLINK, 0, {
    ifi_index: index,
    IFLA_TARGET_NETNSID: netnsid,
  })
}

/** For dump(): all links of the namespace, without VF information, because a PF with many VFs is asked for alone. */
export function dumpLinks(filter: LinkRequest = {}): Request {
  return linkMessage.request('RTM_GETLINK', RTM.RTM_GETLINK, 0, filter)
}

/** Makes a link; needs at least IFLA_LINKINFO. EEXIST if the name is taken. */
export function newLink(value: LinkRequest): Request {
  return linkMessage.request('RTM_NEWLINK', RTM.RTM_NEWLINK, NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL, value)
}

/** Changes a link by ifi_index. The kernel applies the attributes one after the other: after an error some may have taken effect. */
export function changeLink(value: LinkRequest): Request {
  // The kernel counts an alias's ending zero: with the zero, '' would not remove an alias, and 255 bytes would be too many.
  if (value.IFLA_IFALIAS !== undefined) rememberBare(value, 'IFLA_IFALIAS')
  return linkMessage.request('RTM_NEWLINK', RTM.RTM_NEWLINK, 0, value)
}

/** Like changeLink(), by the message type that can't make a link. */
export function setLink(value: LinkRequest): Request {
  return linkMessage.request('RTM_SETLINK', RTM.RTM_SETLINK, 0, value)
}

/** Removes a link without hardware behind it; EOPNOTSUPP for one with hardware. */
export function deleteLink(index: number): Request {
  return linkMessage.request('RTM_DELLINK', RTM.RTM_DELLINK, 0, { ifi_index: index })
}

/** Adds alternative names; EEXIST if an interface of the namespace has one of them. */
export function addAltNames(index: number, names: readonly string[]): Request {
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_EXCL | NLM_F.NLM_F_APPEND
  return linkMessage.request('RTM_NEWLINKPROP', RTM.RTM_NEWLINKPROP, flags, {
    ifi_index: index,
    IFLA_PROP_LIST: names,
  })
}

/** Removes alternative names; ENOENT for a name that no interface has, EINVAL for a name of another link. */
export function deleteAltNames(index: number, names: readonly string[]): Request {
  return linkMessage.request('RTM_DELLINKPROP', RTM.RTM_DELLINKPROP, 0, {
    ifi_index: index,
    IFLA_PROP_LIST: names,
  })
}

/** The link in a message of RTM_NEWLINK. */
export function decodeLink(message: Message): Link {
  return linkMessage.decode(message.payload)
}

/** All names of a link: its own and the alternative ones. */
export function namesOf(value: Link): readonly string[] {
  return [...(value.IFLA_IFNAME === undefined ? [] : [value.IFLA_IFNAME]), ...(value.IFLA_PROP_LIST ?? [])]
}
