/**
 * Finds the interface at the other end of a pod's interface. The pod cannot forge the answer: the answer comes from the
 * namespace of the other end, or from the host's own numbers of namespaces.
 */
import { hostNetns } from '../../lib/host-netns.ts'
import { decodeLink, getLink, getLinkIn, type Link } from '../../netlink/rtnl/link.ts'
import { decodeNsid, getNsid } from '../../netlink/rtnl/nsid.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../../netlink/socket.ts'
import { ownNetns } from '../../sys/namespaces.ts'
import type { LinkFacts, LinkPlace, OtherEnd } from '../api/facts.ts'
import type { LowerNetns } from '../api/links.ts'
import type { OpenNetns } from '../api/machine.ts'
import { linkFacts } from './links.ts'

type Answer = Reply | NetlinkError | undefined

/**
 * The other end of the pair (veth, netkit) whose first end is at `place`; undefined when there is no such interface, or no other
 * end.
 */
export function otherEndOf(
  socket: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'> | undefined,
  place: LinkPlace,
): OtherEnd | undefined {
  return lookAt(socket, pod, place)?.other
}

/**
 * The host's end of the pair that `link` of the pod is the other end of; undefined when that is not on the host. `link` says only
 * where to look: a pod can give its interfaces any number and MAC address. The kernel's answer about the host's end decides: its
 * other end has the number of `link`, and is in the pod's namespace. A number in a namespace is one interface's.
 * @throws NetlinkError when the kernel does not tell the number of the pod's namespace, though it knows such numbers
 */
export function peerOnHost(
  socket: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'>,
  { kind, lower, lowerNetns, ifindex }: LinkFacts,
): LinkFacts | undefined {
  if (kind !== 'veth' || lower === undefined || lowerNetns === undefined) return undefined
  const ends = lookAt(socket, pod, { ifindex: lower, netns: hostNetns })
  if (ends?.other.kind !== 'veth' || ends.other.ifindex !== ifindex) return undefined
  if (ends.refusal !== undefined) throw ends.refusal
  return ends.other.where === 'pod' ? linkFacts(ends.first) : undefined
}

/**
 * Both ends of a pair, by one look at the first. All requests go in one datagram. The request for the pod's number comes last: the
 * kernel gives the namespace of the other end a number only when it answers the request for the interface.
 */
function lookAt(
  socket: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'> | undefined,
  { ifindex, netns }: LinkPlace,
):
  | { readonly first: Link; readonly other: OtherEnd; readonly refusal: NetlinkError | undefined }
  | undefined {
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
  const aboutPod = others.shift()
  const podNumber = numberIn(aboutPod)
  const link = decodeLink(messageOf(first))
  // An answer without a namespace number means that both ends are in one namespace.
  const where = link.IFLA_LINK_NETNSID ?? netns
  // IFLA_LINK is 0 while the kernel removes the other end.
  if (link.IFLA_LINK === undefined || link.IFLA_LINK === 0) return undefined
  const isHosts = link.IFLA_LINK_NETNSID === undefined ? isOnHost : where === hostNumber && !isOnHost
  const isPods = where >= 0 && where === podNumber
  const isNumbered = !isHosts && where >= 0 && (isPods || isLiving(socket, where))
  const other: OtherEnd = {
    ifindex: link.IFLA_LINK,
    where: isHosts ? 'host' : isPods ? 'pod' : 'elsewhere',
    netns: isNumbered ? where : undefined,
    kind: link.IFLA_LINKINFO?.IFLA_INFO_KIND,
  }
  // Kernels without numbers of namespaces know no request for one.
  const isRefused = aboutPod instanceof NetlinkError && aboutPod.code !== 'EOPNOTSUPP'
  return { first: link, other, refusal: isRefused ? aboutPod : undefined }
}

/**
 * False for a namespace that nobody has any more and that the kernel has not begun to take apart. Such a namespace keeps its number for
 * seconds on a node where many end, but rtnl_net_getid() of the kernel finds no namespace by the number (ENOENT).
 */
function isLiving(socket: NetlinkSocket, netns: number): boolean {
  const [answer] = socket.batch([getNsid({ NETNSA_NSID: netns })])
  return !(answer instanceof NetlinkError && answer.code === 'ENOENT')
}

/** The namespace of the interface below the pod's interface `link` (macvlan, VLAN, ipvlan). */
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

/** True when the interface, or the namespace, does not exist. @throws NetlinkError for another refusal */
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
