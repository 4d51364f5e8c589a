/** Finds the host's end of a pod's veth pair. A pod can forge ifindex and MAC of its interfaces, but not the peer of a veth. */
import { decodeNsid, getNsid } from '../../netlink/rtnl/nsid.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { LinkFacts } from '../api/facts.ts'
import type { OpenNetns } from '../api/machine.ts'
import { findLink } from './links.ts'

/**
 * The host's end of the veth pair of the pod's interface `link`; undefined where the other end is not on the host. `link` names
 * only the ifindex to read. The host's interface decides: its other end must have the ifindex of `link` and be in the pod's
 * namespace. An ifindex is unique within a namespace.
 */
export function peerOnHost(
  host: NetlinkSocket,
  pod: Pick<OpenNetns, 'fd'>,
  { kind, lower, lowerNetns, ifindex }: LinkFacts,
): LinkFacts | undefined {
  if (kind !== 'veth' || lower === undefined || lowerNetns === undefined) return undefined
  // The peer is read before the pod's number: the kernel numbers the pod's namespace only when it reports the peer.
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
    // Before Linux 4.0 namespaces have no numbers, and no interface reports one.
    if (error instanceof NetlinkError && error.code === 'EOPNOTSUPP') return undefined
    throw error
  }
}
