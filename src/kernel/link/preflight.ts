/** What a move of an interface would meet, asked before the first change, with nothing changed. */

import { AF } from '../../netlink/rtnl/const.ts'
import { changeLink } from '../../netlink/rtnl/link.ts'
import { RT_SCOPE } from '../../netlink/rtnl/route.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { getQdisc, qdiscName, TC_H } from '../../netlink/tc/tcm.ts'
import type { LinkFacts, MoveFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { dumpedAddresses } from '../ip/addressing.ts'
import { findLink } from './links.ts'

/** The number of `lo`, which every namespace has. */
const takenIfindex = 1

/**
 * Asks for a move of the host's interface `link` to a number that is taken there for sure. The kernel looks at that last, after
 * it has looked whether the interface may leave its namespace at all and whether its names are free there
 * (__dev_change_net_namespace, net/core/dev.c): EBUSY says that nothing else is in the way. No attribute of an interface tells
 * that on every kernel. The request has no new name: before Linux 6.6 the kernel gives that to the interface before it looks at
 * the number, where the pod has an interface of the old name.
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

/** False for the number, and for the interface's name where the pod has that: the move brings a new number and a new name. */
function isInTheWay(
  { code }: NetlinkError,
  inPod: () => NetlinkSocket,
  { name, altnames }: LinkFacts,
): boolean {
  if (code !== 'EEXIST') return code !== 'EBUSY'
  const isTaken = (one: string) => findLink(inPod(), one) !== undefined
  // The kernel looks at the name first: it has not come to the altnames, which the move brings along.
  return !isTaken(name) || altnames.some(isTaken)
}

/** Qdiscs that nobody can give an interface or take from it. */
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
