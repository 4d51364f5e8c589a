/** The qdisc that filters hang on. What is asked for is of one interface, whatever the others have. */
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import {
  anyFilters,
  CLSACT_EGRESS,
  CLSACT_INGRESS,
  deleteClsact,
  getQdisc,
  newClsact,
  qdiscName,
  TC_H,
} from '../netlink/tc/tcm.ts'
import { tolerate } from './refusals.ts'

/** True when the interface has a clsact or ingress qdisc. */
export function hasIngress(socket: NetlinkSocket, ifindex: number): boolean {
  const reply = tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () =>
    socket.request(getQdisc(ifindex, TC_H.TC_H_CLSACT)),
  )
  return (reply?.messages ?? []).some((message) => ['clsact', 'ingress'].includes(qdiscName(message).kind))
}

/** Adds clsact; one that is there, or an `ingress` qdisc in its place, serves as well. */
export function addClsact(socket: NetlinkSocket, ifindex: number): void {
  try {
    socket.request(newClsact(ifindex))
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'EEXIST')) throw error
  }
}

/** Removes clsact if no filter is on either of its sides; two dumps must agree, because one can lose entries. */
export function dropEmptyClsact(socket: NetlinkSocket, ifindex: number): void {
  if (!hasIngress(socket, ifindex)) return
  for (let look = 0; look < 2; look++) {
    for (const parent of [CLSACT_INGRESS, CLSACT_EGRESS])
      if (socket.dump(anyFilters(ifindex, parent)).length > 0) return
  }
  tolerate(['ENOENT', 'EINVAL', 'ENODEV'], () => socket.request(deleteClsact(ifindex)))
}
