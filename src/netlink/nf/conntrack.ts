// Connections that the kernel tracks: ctnetlink, CTA_* of linux/netfilter/nfnetlink_conntrack.h. The part that finds and deletes the
// connections to one address and port.
import { attrs } from '../codec/attrs.ts'
import { be16, be32, ipv4, ipv6, u8, u32, type Value } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'
import { NFNL_SUBSYS, nfgenmsg, typeOf } from './nfnetlink.ts'

/** IPCTNL_MSG_CT_* of linux/netfilter/nfnetlink_conntrack.h: the lower byte. */
export const IPCTNL_MSG_CT = { IPCTNL_MSG_CT_GET: 1, IPCTNL_MSG_CT_DELETE: 2 } as const

/** CTA_IP_* */
export const ctaIp = attrs('CTA_IP', {
  CTA_IP_V4_SRC: [1, ipv4],
  CTA_IP_V4_DST: [2, ipv4],
  CTA_IP_V6_SRC: [3, ipv6],
  CTA_IP_V6_DST: [4, ipv6],
})
/** CTA_PROTO_* */
export const ctaProto = attrs('CTA_PROTO', {
  CTA_PROTO_NUM: [1, u8],
  CTA_PROTO_SRC_PORT: [2, be16],
  CTA_PROTO_DST_PORT: [3, be16],
})
/** CTA_TUPLE_* */
export const ctaTuple = attrs('CTA_TUPLE', {
  CTA_TUPLE_IP: [1, ctaIp],
  CTA_TUPLE_PROTO: [2, ctaProto],
  CTA_TUPLE_ZONE: [3, be16],
})
/** CTA_PROTOINFO_TCP_*; the state is one of TCP_CONNTRACK_*. */
export const ctaProtoinfoTcp = attrs('CTA_PROTOINFO_TCP', { CTA_PROTOINFO_TCP_STATE: [1, u8] })
/** CTA_PROTOINFO_* */
export const ctaProtoinfo = attrs('CTA_PROTOINFO', { CTA_PROTOINFO_TCP: [1, ctaProtoinfoTcp] })
/** TCP_CONNTRACK_* of a connection that is over, linux/netfilter/nf_conntrack_tcp.h. */
export const TCP_CONNTRACK = { TCP_CONNTRACK_TIME_WAIT: 7, TCP_CONNTRACK_CLOSE: 8 } as const
/** CTA_FILTER_*, Linux 5.8: the parts of the tuples in a dump request that count. Older kernels ignore the tuples. */
export const ctaFilter = attrs('CTA_FILTER', {
  CTA_FILTER_ORIG_FLAGS: [1, u32],
  CTA_FILTER_REPLY_FLAGS: [2, u32],
})
/** CTA_* */
export const cta = attrs('CTA', {
  CTA_TUPLE_ORIG: [1, ctaTuple],
  CTA_TUPLE_REPLY: [2, ctaTuple],
  CTA_PROTOINFO: [4, ctaProtoinfo],
  CTA_ID: [12, be32],
  CTA_ZONE: [18, be16],
  CTA_FILTER: [25, ctaFilter],
})

/** Bits of CTA_FILTER_*_FLAGS, which no public header has (net/netfilter/nf_internals.h). */
const filterFlags = { destination: 1 << 1, protocol: 1 << 3, destinationPort: 1 << 5 } as const

/** The payload of ctnetlink messages. */
export const ctMessage = family(nfgenmsg, cta)
/** A connection as the kernel lists it. */
export type Connection = Value<typeof ctMessage>

const ctnetlink = (message: number) => typeOf(NFNL_SUBSYS.NFNL_SUBSYS_CTNETLINK, message)

/**
 * Connections to this original destination, and some to others: the caller compares. Kernels to this day list the connections to all
 * other IPv6 addresses instead (ctnetlink_filter_match_tuple() takes ipv6_addr_cmp() for a test of equality), so a request for IPv6
 * filters by port alone. A kernel before 5.8 lists all connections. Without address or port, the missing part is not compared.
 */
export function dumpConnections(to: {
  readonly family: number
  readonly address?: string | undefined
  readonly protocol: number
  readonly port?: number | undefined
}): Request {
  const hasAddress = to.family === 2 && to.address !== undefined
  return ctMessage.request('IPCTNL_MSG_CT_GET', ctnetlink(IPCTNL_MSG_CT.IPCTNL_MSG_CT_GET), 0, {
    nfgen_family: to.family,
    CTA_TUPLE_ORIG: {
      ...(hasAddress ? { CTA_TUPLE_IP: { CTA_IP_V4_DST: to.address } } : {}),
      CTA_TUPLE_PROTO: {
        CTA_PROTO_NUM: to.protocol,
        ...(to.port === undefined ? {} : { CTA_PROTO_DST_PORT: to.port }),
      },
    },
    CTA_FILTER: {
      CTA_FILTER_ORIG_FLAGS:
        (hasAddress ? filterFlags.destination : 0) |
        filterFlags.protocol |
        (to.port === undefined ? 0 : filterFlags.destinationPort),
      CTA_FILTER_REPLY_FLAGS: 0,
    },
  })
}

/** Connections of a family whose replies come to this port. A kernel before 5.8 lists all connections: the caller compares. */
export function dumpRepliesTo(nfgen_family: number, protocol: number, port: number): Request {
  return ctMessage.request('IPCTNL_MSG_CT_GET', ctnetlink(IPCTNL_MSG_CT.IPCTNL_MSG_CT_GET), 0, {
    nfgen_family,
    CTA_TUPLE_REPLY: { CTA_TUPLE_PROTO: { CTA_PROTO_NUM: protocol, CTA_PROTO_DST_PORT: port } },
    CTA_FILTER: {
      CTA_FILTER_ORIG_FLAGS: 0,
      CTA_FILTER_REPLY_FLAGS: filterFlags.protocol | filterFlags.destinationPort,
    },
  })
}

/** Connections of a family whose replies come to this IPv4 address; all of IPv6, for the reason at {@link dumpConnections}. */
export function dumpRepliesOf(nfgen_family: number, address: string): Request {
  const isV4 = nfgen_family === 2
  return ctMessage.request('IPCTNL_MSG_CT_GET', ctnetlink(IPCTNL_MSG_CT.IPCTNL_MSG_CT_GET), 0, {
    nfgen_family,
    ...(isV4
      ? {
          CTA_TUPLE_REPLY: { CTA_TUPLE_IP: { CTA_IP_V4_DST: address } },
          CTA_FILTER: { CTA_FILTER_ORIG_FLAGS: 0, CTA_FILTER_REPLY_FLAGS: filterFlags.destination },
        }
      : {}),
  })
}

/** Deletes one connection, but none that took its place since it was listed (CTA_ID). */
export function deleteConnection(connection: Connection): Request {
  const { nfgen_family, CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE } = connection
  return ctMessage.request('IPCTNL_MSG_CT_DELETE', ctnetlink(IPCTNL_MSG_CT.IPCTNL_MSG_CT_DELETE), 0, {
    nfgen_family,
    ...(CTA_TUPLE_ORIG === undefined ? {} : { CTA_TUPLE_ORIG }),
    ...(CTA_ID === undefined ? {} : { CTA_ID }),
    ...(CTA_ZONE === undefined ? {} : { CTA_ZONE }),
  })
}

/** A listed connection. */
export function decodeConnection(message: Message): Connection {
  return ctMessage.decode(message.payload)
}
