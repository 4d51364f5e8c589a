/** Reads some of a node's interfaces: a node has more than a thousand, of which most are of no interest. */
import { decodeLink, dumpLinks, getLink, RTEXT_FILTER } from '../../netlink/rtnl/link.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { isThere } from '../../sys/files.ts'
import type { LinkFacts } from '../api/facts.ts'
import { linkFacts } from './links.ts'

/** The interfaces of the socket's namespace with these numbers, as far as there are any, without VF information. */
export function linksAt(socket: NetlinkSocket, ifindexes: readonly number[]): LinkFacts[] {
  return socket.batch(ifindexes.map((ifindex) => getLink(ifindex))).flatMap((reply) => {
    if (reply instanceof NetlinkError) {
      if (reply.code === 'ENODEV') return []
      throw reply
    }
    const [message] = reply.messages
    return message === undefined ? [] : [linkFacts(decodeLink(message))]
  })
}

/**
 * The interfaces of kind `vlan`. The kernel leaves out the others, but for a kind that it does not know: then it shows all. The module
 * that has VLANs makes a folder in procfs, without which there are none.
 */
export function vlanLinks(socket: NetlinkSocket): LinkFacts[] {
  if (!isThere('/proc/net/vlan')) return []
  const filter = {
    IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS,
    IFLA_LINKINFO: { IFLA_INFO_KIND: 'vlan' },
  }
  return socket
    .dump(dumpLinks(filter))
    .map((message) => linkFacts(decodeLink(message)))
    .filter(({ kind }) => kind === 'vlan')
}
