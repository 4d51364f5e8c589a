/**
 * What an interface of a pod is joined to, where the pod can't forge it: the answer comes from a look at the namespace of the
 * other side, or is translated to the host's own numbers of namespaces.
 */
import { hostNetns } from '../lib/host-netns.ts'
import { decodeLink, getLink, getLinkIn } from '../netlink/rtnl/link.ts'
import { decodeNsid, getNsid } from '../netlink/rtnl/nsid.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../netlink/socket.ts'
import { ownNetns } from '../sys/namespaces.ts'
import type { LinkFacts, LinkPlace, OtherEnd } from './facts.ts'
import type { OpenNetns } from './machine.ts'

/** The host's number of another namespace, {@link hostNetns}, or: the pod's own, or one that the kernel can't tell. */
export type LowerNetns = number | 'pod' | 'unknown'

type Answer = Reply | NetlinkError | undefined

/**
 * The other end of the pair (veth, netkit) whose first end is at `place`; undefined when there is no such interface, or it has no
 * other end. One datagram. The kernel gives the namespace of the other end a number when it answers, so that the pod's is asked for
 * in the same datagram, behind it.
 */
export function otherEndOf(
  socket: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'> | undefined,
  { ifindex, netns }: LinkPlace,
): OtherEnd | undefined {
  const isOnHost = netns === hostNetns
  const own = isOnHost ? undefined : ownNetns()
  let answers: readonly Answer[]
  try {
    answers = socket.batch([
      isOnHost ? getLink(ifindex) : getLinkIn(netns, ifindex),
      ...(own === undefined ? [] : [getNsid({ NETNSA_FD: own.fd })]),
      ...(pod === undefined ? [] : [getNsid({ NETNSA_FD: pod.fd })]),
    ])
  } finally {
    own?.close()
  }
  const [first, ...others] = answers
  if (first === undefined || isAbsent(first)) return undefined
  const hostNumber = own === undefined ? hostNetns : numberIn(others.shift())
  const podNumber = numberIn(others.shift())
  const link = decodeLink(messageOf(first))
  // Without a number the other end is beside the first one.
  const where = link.IFLA_LINK_NETNSID ?? netns
  // 0 for one whose other end is just being removed.
  if (link.IFLA_LINK === undefined || link.IFLA_LINK === 0) return undefined
  const isHosts = link.IFLA_LINK_NETNSID === undefined ? isOnHost : where === hostNumber && !isOnHost
  const isPods = where >= 0 && where === podNumber
  const isNumbered = !isHosts && where >= 0 && (isPods || isLiving(socket, where))
  return {
    ifindex: link.IFLA_LINK,
    where: isHosts ? 'host' : isPods ? 'pod' : 'elsewhere',
    netns: isNumbered ? where : undefined,
    kind: link.IFLA_LINKINFO?.IFLA_INFO_KIND,
  }
}

/**
 * False for a namespace that nobody has any more and whose turn to be taken apart has not come: until then, which can take seconds on a
 * node where many end, it has its number (rtnl_net_getid() of the kernel finds no namespace by that, ENOENT).
 */
function isLiving(socket: NetlinkSocket, netns: number): boolean {
  const [answer] = socket.batch([getNsid({ NETNSA_NSID: netns })])
  return !(answer instanceof NetlinkError && answer.code === 'ENOENT')
}

/** In which namespace the interface is that the pod's interface `link` stands on (macvlan, VLAN, ipvlan). */
export function lowerNetnsOf(
  socket: NetlinkSocket,
  { lowerNetns }: Pick<LinkFacts, 'lowerNetns'>,
): LowerNetns {
  if (lowerNetns === undefined) return 'pod'
  const own = ownNetns()
  try {
    const [host] = socket.batch([getNsid({ NETNSA_FD: own.fd })])
    const hostNumber = numberIn(host)
    if (hostNumber === undefined) return 'unknown'
    if (hostNumber === lowerNetns) return hostNetns
    const [third] = socket.batch([getNsid({ NETNSA_NSID: lowerNetns }, hostNumber)])
    return numberIn(third) ?? 'unknown'
  } finally {
    own.close()
  }
}

/** True for the answer about an interface, or a namespace, that is not there. */
function isAbsent(answer: Exclude<Answer, undefined>): answer is NetlinkError {
  if (!(answer instanceof NetlinkError)) return false
  if (answer.code === 'ENODEV' || answer.code === 'EINVAL') return true
  throw answer
}

function messageOf(answer: Answer) {
  if (answer === undefined || answer instanceof NetlinkError) throw answer
  const [message] = answer.messages
  if (message === undefined) throw new RangeError('Cannot read the answer of RTM_GETLINK: it is empty')
  return message
}

function numberIn(answer: Answer): number | undefined {
  const [message] = answer === undefined || answer instanceof NetlinkError ? [] : answer.messages
  return message === undefined ? undefined : decodeNsid(message)
}
