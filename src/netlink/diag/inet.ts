// Sockets of the Internet families: linux/inet_diag.h. The part that answers "who listens on this port?".
import { attrs } from '../codec/attrs.ts'
import { struct } from '../codec/struct.ts'
import { be16, bytes, u8, u16, u32, type Value } from '../codec/wire.ts'
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

/** struct inet_diag_bc_op, linux/inet_diag.h: one step of a filter. Offsets to the next step, when it holds and when not. */
export const inet_diag_bc_op = struct('inet_diag_bc_op', [
  ['code', u8],
  ['yes', u8],
  ['no', u16],
])

/** INET_DIAG_BC_*: the kinds of steps. S_GE and S_LE compare the local port with the `no` of the step after them. */
export const INET_DIAG_BC = { INET_DIAG_BC_JMP: 1, INET_DIAG_BC_S_GE: 2, INET_DIAG_BC_S_LE: 3 } as const

/** INET_DIAG_REQ_* of linux/inet_diag.h. */
export const inetDiagRequest = attrs('INET_DIAG_REQ', { INET_DIAG_REQ_BYTECODE: [1, bytes()] })

const request = family(inet_diag_req_v2, inetDiagRequest)
const answer = family(inet_diag_msg, inetDiag)
/** A socket as the kernel lists it; addresses have 16 bytes, of which IPv4 uses 4. */
export type InetSocket = Value<typeof answer>

/**
 * Sockets of a family (AF_INET, AF_INET6) and protocol in the given states (1 << TCP_LISTEN ...), on one of the local `ports`, 3,000 at
 * most, where they are given.
 */
export function dumpSockets(
  sdiag_family: number,
  sdiag_protocol: number,
  idiag_states: number,
  ports?: readonly number[],
): Request {
  // One port has a field of its own.
  const idiag_sport = ports?.length === 1 ? (ports[0] ?? 0) : 0
  const nothing = new Uint8Array(16)
  return request.request('SOCK_DIAG_BY_FAMILY', SOCK_DIAG.SOCK_DIAG_BY_FAMILY, 0, {
    ...{ sdiag_family, sdiag_protocol, idiag_states },
    id: {
      ...{ idiag_sport, idiag_dport: 0, idiag_src: nothing, idiag_dst: nothing, idiag_if: 0 },
      idiag_cookie: new Uint8Array(8),
    },
    ...(ports === undefined || ports.length === 1 ? {} : { INET_DIAG_REQ_BYTECODE: onPorts(ports) }),
  })
}

/** Steps for one port: at least, at most, take it. */
const stepsOfPort = 5
/** Bytes of a step. */
const stepBytes = 4

/**
 * A filter that takes sockets on one of `ports`. It ends at its last byte for a socket that it takes, and four bytes behind it for another
 * (inet_diag_bc_run() of net/ipv4/inet_diag.c).
 */
function onPorts(ports: readonly number[]): Uint8Array {
  const { INET_DIAG_BC_JMP, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE } = INET_DIAG_BC
  const whole = ports.length * stepsOfPort * stepBytes
  const out = new Uint8Array(whole)
  const put = (at: number, code: number, yes: number, no: number) =>
    out.set(inet_diag_bc_op.encode({ code, yes, no }), at)
  for (const [index, port] of ports.entries()) {
    const start = index * stepsOfPort * stepBytes
    const end = start + stepsOfPort * stepBytes
    // After the last port there is no other one to compare with.
    const next = end === whole ? end + stepBytes : end
    put(start, INET_DIAG_BC_S_GE, 2 * stepBytes, next - start)
    put(start + stepBytes, 0, 0, port)
    put(start + 2 * stepBytes, INET_DIAG_BC_S_LE, 2 * stepBytes, next - start - 2 * stepBytes)
    put(start + 3 * stepBytes, 0, 0, port)
    // The offset of a jump is its `no`; its `yes` is a place that the kernel's check of the filter goes by.
    put(start + 4 * stepBytes, INET_DIAG_BC_JMP, stepBytes, whole - start - 4 * stepBytes)
  }
  return out
}

/** The local port of a listed socket, read without decoding the rest: most of a thousand sockets are of no interest. */
export function localPortOf({ payload }: Message): number {
  return ((payload[4] ?? 0) << 8) | (payload[5] ?? 0)
}

/** A listed socket. */
export function decodeSocket(message: Message): InetSocket {
  return answer.decode(message.payload)
}
