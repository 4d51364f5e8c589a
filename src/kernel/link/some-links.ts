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

/** Things that a kernel with interfaces of a kind has; undefined where nothing shows that. */
const signs = { vlan: '/proc/net/vlan', ifb: undefined } as const

/**
 * The interfaces of a kind. The kernel leaves out the others, but for a kind that it does not know: then it shows all, and they are passed
 * over undecoded.
 */
export function linksOfKind(socket: NetlinkSocket, kind: keyof typeof signs): LinkFacts[] {
  const sign = signs[kind]
  if (sign !== undefined && !isThere(sign)) return []
  const filter = {
    IFLA_EXT_MASK: RTEXT_FILTER.RTEXT_FILTER_SKIP_STATS,
    IFLA_LINKINFO: { IFLA_INFO_KIND: kind },
  }
  return socket
    .scan(dumpLinks(filter), [new TextEncoder().encode(kind)])
    .found.map((message) => linkFacts(decodeLink(message)))
    .filter((link) => link.kind === kind)
}
