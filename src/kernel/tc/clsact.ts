/** The qdisc that filters hang on. What is asked for is of one interface, whatever the others have. */
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

/** True when the interface has a clsact or ingress qdisc. */
export function hasIngress(socket: NetlinkSocket, ifindex: number): boolean {
  const reply = tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () =>
    socket.request(getQdisc(ifindex, TC_H.TC_H_CLSACT)),
  )
  return (reply?.messages ?? []).some((message) => ['clsact', 'ingress'].includes(qdiscName(message).kind))
}

/** Adds clsact; one that is there, or an `ingress` qdisc in its place, serves as well, and is not ours. */
export function addClsact(socket: NetlinkSocket, ifindex: number): Outcome {
  try {
    socket.request(newClsact(ifindex))
    return {}
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
    return { existed: true }
  }
}

/** Opens a socket of its own, for dumps that may be given up. */
export type OpenSocket = () => NetlinkSocket

/**
 * Removes clsact if no filter is on either of its sides; two looks must agree, because a dump can lose entries. Of the filters of
 * others one datagram is read.
 */
export function dropEmptyClsact(open: OpenSocket, ifindex: number): void {
  const socket = open()
  try {
    for (let look = 0; look < 2; look++) {
      for (const parent of [CLSACT_INGRESS, CLSACT_EGRESS]) {
        if (!hasIngress(socket, ifindex)) return
        // After a dump that was given up the socket serves nothing more.
        if (socket.scan(anyFilters(ifindex, parent), [], 1).first !== undefined) return
      }
    }
    tolerate(absent, () => socket.request(deleteClsact(ifindex)))
  } finally {
    socket.close()
  }
}

/** No such qdisc, or no such interface any more. */
const absent = ['ENOENT', 'EINVAL', 'ENODEV']
