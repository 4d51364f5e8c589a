// The common part of netfilter's message families: linux/netfilter/nfnetlink.h.

import { struct } from '../codec/struct.ts'
import { be16, u8 } from '../codec/wire.ts'
import type { Request } from '../message.ts'

/** NETLINK_NETFILTER, linux/netlink.h. */
export const NETLINK_NETFILTER = 12
/** NFNL_SUBSYS_*: the upper byte of a message's type. */
export const NFNL_SUBSYS = { NFNL_SUBSYS_CTNETLINK: 1, NFNL_SUBSYS_NFTABLES: 10 } as const
/** NFNL_MSG_BATCH_*: the messages before and after those of a transaction. */
export const NFNL_MSG_BATCH = { NFNL_MSG_BATCH_BEGIN: 16, NFNL_MSG_BATCH_END: 17 } as const
/** NFPROTO_*, linux/netfilter.h. INET: tables for both families; NETDEV: for the frames of an interface. */
export const NFPROTO = { NFPROTO_INET: 1, NFPROTO_IPV4: 2, NFPROTO_NETDEV: 5, NFPROTO_IPV6: 10 } as const

/** struct nfgenmsg */
export const nfgenmsg = struct('nfgenmsg', [
  ['nfgen_family', u8],
  ['version', u8],
  ['res_id', be16],
])

/** Type of a subsystem's message. */
export function typeOf(subsystem: number, message: number): number {
  return (subsystem << 8) | message
}

/** The ends of a transaction of nf_tables: all messages between them take effect, or none. */
export function batchEnds(): readonly [begin: Request, end: Request] {
  const payload = nfgenmsg.encode({
    ...{ nfgen_family: 0, version: 0 },
    res_id: NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES,
  })
  const end = (name: string, type: number): Request => ({ name, type, flags: 0, payload, isUnanswered: true })
  return [
    end('NFNL_MSG_BATCH_BEGIN', NFNL_MSG_BATCH.NFNL_MSG_BATCH_BEGIN),
    end('NFNL_MSG_BATCH_END', NFNL_MSG_BATCH.NFNL_MSG_BATCH_END),
  ]
}
