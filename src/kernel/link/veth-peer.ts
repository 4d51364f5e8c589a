/** The other end of a pod's veth pair. A pod can give its interfaces any number and MAC address, but not another one's pair. */
import { decodeNsid, getNsid } from '../../netlink/rtnl/nsid.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { LinkFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { findLink } from './links.ts'

/**
 * The host's end of the pair that `link` of the pod is the other end of; undefined where that is not on the host. `link` says only
 * where to look. What decides is what the kernel tells of the interface there: that its other end has the number of `link`, and is in
 * the pod's namespace and no other. A number in a namespace is one interface's.
 */
export function peerOnHost(
  host: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'>,
  { kind, lower, lowerNetns, ifindex }: LinkFacts,
): LinkFacts | undefined {
  if (kind !== 'veth' || lower === undefined || lowerNetns === undefined) return undefined
  // First: the kernel gives the pod's namespace its number when it tells of an interface whose other end is there.
  const peer = findLink(host, lower)
  if (peer?.kind !== 'veth' || peer.lower !== ifindex || peer.lowerNetns === undefined) return undefined
  return peer.lowerNetns === numberOf(host, pod) ? peer : undefined
}

/** The number that the socket's namespace has for `pod`; undefined where it has none. */
function numberOf(host: NetlinkSocket, { fd }: Pick<OpenNetns, 'fd'>): number | undefined {
  try {
    const [message] = host.request(getNsid({ NETNSA_FD: fd })).messages
    return message === undefined ? undefined : decodeNsid(message)
  } catch (error) {
    // Before Linux 4.0 namespaces had no numbers, and no interface told of any.
    if (error instanceof NetlinkError && error.code === 'EOPNOTSUPP') return undefined
    throw error
  }
}
