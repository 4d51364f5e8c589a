/** Tells whether the kernel would refuse to move an interface, before the first change. Changes nothing. */

import { AF } from '../../netlink/rtnl/const.ts'
import { changeLink } from '../../netlink/rtnl/link.ts'
import { RT_SCOPE } from '../../netlink/rtnl/route.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { getQdisc, qdiscName, TC_H } from '../../netlink/tc/tcm.ts'
import type { LinkFacts, MoveFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { dumpedAddresses } from './dumped-addresses.ts'
import { findLink } from './links.ts'

/** The ifindex of `lo`, which exists in every namespace. */
const takenIfindex = 1

/**
 * Asks the kernel to move the host's interface `link` to an ifindex that is taken. The kernel checks the ifindex last, after it
 * has checked that the interface may leave its namespace and that its names are free in the other one
 * (__dev_change_net_namespace, net/core/dev.c): EBUSY tells that nothing else is in the way. No attribute of an interface tells
 * the same on every kernel. The request has no new name: before Linux 6.6, and where the pod has an interface with the old name,
 * the kernel renames the interface before it checks the ifindex.
 */
export function lookBeforeMove(
  socket: NetlinkSocket,
  inPod: () => NetlinkSocket,
  pod: OpenNetns,
  link: LinkFacts,
): MoveFacts {
  const { ifindex } = link
  const move = {
    ifi_index: ifindex,
    IFLA_NET_NS_FD: pod.fd,
    IFLA_NEW_IFINDEX: takenIfindex,
  }
  const [moved, ...qdiscs] = socket.batch([
    changeLink(move),
    getQdisc(ifindex, TC_H.TC_H_INGRESS),
    ...(isBuiltIn(link.qdisc) ? [] : [getQdisc(ifindex, TC_H.TC_H_ROOT)]),
  ])
  return {
    refusal: moved instanceof NetlinkError && isInTheWay(moved, inPod, link) ? moved : undefined,
    qdiscs: qdiscs.flatMap((found) => {
      const [message] = found instanceof NetlinkError ? [] : found.messages
      const { handle, kind } = message === undefined ? { handle: 0, kind: '' } : qdiscName(message)
      return handle === 0 ? [] : [kind]
    }),
    isBare: !link.up && link.master === undefined && isWithoutAddresses(socket, ifindex),
  }
}

/** False for a taken ifindex, and for a taken name: the real move brings a new ifindex and a new name. */
function isInTheWay(
  { code }: NetlinkError,
  inPod: () => NetlinkSocket,
  { name, altnames }: LinkFacts,
): boolean {
  if (code !== 'EEXIST') return code !== 'EBUSY'
  const isTaken = (one: string) => findLink(inPod(), one) !== undefined
  // The kernel checks the name before the altnames. A taken name hides a taken altname, and the move keeps the altnames.
  return !isTaken(name) || altnames.some(isTaken)
}

/** True for the qdiscs of the kernel, which no process can add or remove. */
function isBuiltIn(kind: string | undefined): boolean {
  return kind === 'noop' || kind === 'noqueue'
}

function isWithoutAddresses(socket: NetlinkSocket, ifindex: number): boolean {
  const addresses = dumpedAddresses(socket, ifindex)
  const [first] = addresses
  if (first === undefined) return true
  const { ifa_family: family, ifa_scope: scope } = first
  return addresses.length === 1 && family === AF.AF_INET6 && scope === RT_SCOPE.RT_SCOPE_LINK
}
