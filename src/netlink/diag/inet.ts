// Sockets of the Internet families: linux/inet_diag.h. The part that answers "who listens on this port?".
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { be16, bytes, u8, u32, type Value } from '../codec/wire.ts'
import { family, type Message, type Request } from '../message.ts'

/** NETLINK_SOCK_DIAG, linux/netlink.h. */
export const NETLINK_SOCK_DIAG = 4
/** SOCK_DIAG_BY_FAMILY, linux/sock_diag.h. */
export const SOCK_DIAG = { SOCK_DIAG_BY_FAMILY: 20 } as const

/** struct inet_diag_sockid within struct inet_diag_req_v2, linux/inet_diag.h. */
const sockid = [
  ['idiag_sport', be16],
  ['idiag_dport', be16],
  ['idiag_src', bytes(16)],
  ['idiag_dst', bytes(16)],
  ['idiag_if', u32],
  ['idiag_cookie', bytes(8)],
] as const

/** struct inet_diag_req_v2, linux/inet_diag.h. */
export const inet_diag_req_v2 = struct('inet_diag_req_v2', [
  ['sdiag_family', u8],
  ['sdiag_protocol', u8],
  ['idiag_ext', u8],
  ['pad', u8],
  ['idiag_states', u32],
  ['id', struct('inet_diag_sockid', sockid)],
])

/** struct inet_diag_msg, linux/inet_diag.h. */
export const inet_diag_msg = struct('inet_diag_msg', [
  ['idiag_family', u8],
  ['idiag_state', u8],
  ['idiag_timer', u8],
  ['idiag_retrans', u8],
  ['id', struct('inet_diag_sockid', sockid)],
  ['idiag_expires', u32],
  ['idiag_rqueue', u32],
  ['idiag_wqueue', u32],
  ['idiag_uid', u32],
  ['idiag_inode', u32],
])

/** INET_DIAG_* of linux/inet_diag.h. */
export const inetDiag = attrs('INET_DIAG', { INET_DIAG_SKV6ONLY: [11, u8] })

const request = family(inet_diag_req_v2, attrs('INET_DIAG_REQ', {}))
const answer = family(inet_diag_msg, inetDiag)
/** A socket as the kernel lists it; addresses have 16 bytes, of which IPv4 uses 4. */
export type InetSocket = Value<typeof answer>

/**
 * Sockets of a family (AF_INET, AF_INET6) and protocol in the given states (1 << TCP_LISTEN ...); with a local port other than 0
 * only those on that port.
 */
export function dumpSockets(
  sdiag_family: number,
  sdiag_protocol: number,
  idiag_states: number,
  idiag_sport = 0,
): Request {
  const nothing = new Uint8Array(16)
  return request.request('SOCK_DIAG_BY_FAMILY', SOCK_DIAG.SOCK_DIAG_BY_FAMILY, 0, {
    ...{ sdiag_family, sdiag_protocol, idiag_states },
    id: {
      ...{ idiag_sport, idiag_dport: 0, idiag_src: nothing, idiag_dst: nothing, idiag_if: 0 },
      idiag_cookie: new Uint8Array(8),
    },
  })
}

/** The local port of a listed socket, read without decoding the rest: most of a thousand sockets are of no interest. */
export function localPortOf({ payload }: Message): number {
  return ((payload[4] ?? 0) << 8) | (payload[5] ?? 0)
}

/** A listed socket. */
export function decodeSocket(message: Message): InetSocket {
  return answer.decode(message.payload)
}
