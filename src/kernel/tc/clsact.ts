/** Adds, finds and removes the qdisc clsact, on which filters hang. Each request names one interface: no dump of all qdiscs. */
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import {
  anyFilters,
  CLSACT_EGRESS,
  CLSACT_INGRESS,
  deleteClsact,
  getQdisc,
  newClsact,
  qdiscName,
  TC_H,
} from '../../netlink/tc/tcm.ts'
import type { Outcome } from '../../ops/op.ts'
import { tolerate } from '../errors.ts'
import type { OpenSocket } from '../link/sides.ts'

/** True when the interface has a clsact or ingress qdisc. */
export function hasIngress(socket: NetlinkSocket, ifindex: number): boolean {
  const reply = tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () =>
    socket.request(getQdisc(ifindex, TC_H.TC_H_CLSACT)),
  )
  return (reply?.messages ?? []).some((message) => ['clsact', 'ingress'].includes(qdiscName(message).kind))
}

/** Adds clsact. A clsact or `ingress` qdisc that exists already serves as well (`existed`), and stays when ours are removed. */
export function addClsact(socket: NetlinkSocket, ifindex: number): Outcome {
  try {
    socket.request(newClsact(ifindex))
    return {}
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
    return { existed: true }
  }
}

/**
 * Removes clsact if neither side of it has a filter; true when the interface has none afterwards. Reads twice, because a dump can lose
 * entries while filters change. Reads one datagram at most, because an interface can have any number of other filters.
 */
export function dropEmptyClsact(open: OpenSocket, ifindex: number): boolean {
  const socket = open()
  try {
    if (!hasIngress(socket, ifindex)) return true
    for (const parent of [CLSACT_INGRESS, CLSACT_EGRESS, CLSACT_INGRESS, CLSACT_EGRESS]) {
      // The dump is left unread here, so the socket serves nothing else.
      if (socket.scan(anyFilters(ifindex, parent), [], 1).first !== undefined) return false
    }
    tolerate(absent, () => socket.request(deleteClsact(ifindex)))
    return true
  } finally {
    socket.close()
  }
}

/** Errors when the qdisc or the interface is gone. */
const absent = ['ENOENT', 'EINVAL', 'ENODEV']
