/** Reads the configured neighbours and forwarding entries of an interface, not the learned ones. */
import { toHex } from '../../lib/hex.ts'
import { AF } from '../../netlink/rtnl/const.ts'
import {
  decodeNeigh,
  dumpNeighs,
  type Neigh,
  type NeighRequest,
  NTF,
  NUD,
  neighMessage,
} from '../../netlink/rtnl/neigh.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { CarriedItem } from '../../ops/op.ts'
import type { LinkFacts } from '../api/facts.ts'

/**
 * Permanent neighbours of both families, configured MACs of the interface's receive filter or of its bridge, and the addresses of
 * proxy ARP and proxy NDP. Learned entries are left out.
 */
export function carriedNeighbours(socket: NetlinkSocket, link: LinkFacts): CarriedItem[] {
  const { ifindex } = link
  const ask = (filter: NeighRequest) =>
    socket
      .dump(dumpNeighs(filter))
      .map(decodeNeigh)
      .filter((found) => found.ndm_ifindex === ifindex)
  const neighbours = ask({ NDA_IFINDEX: ifindex }).filter(
    ({ ndm_family, ndm_state }) => ndm_family !== AF.AF_BRIDGE && (ndm_state & NUD.NUD_PERMANENT) !== 0,
  )
  const answers = ask({ ndm_flags: NTF.NTF_PROXY, NDA_IFINDEX: ifindex })
  const entries = ask({ ndm_family: AF.AF_BRIDGE, ndm_ifindex: ifindex }).filter((found) =>
    isGiven(found, link.mac),
  )
  return [...neighbours, ...answers, ...entries]
    .filter(({ ndm_flags }) => (ndm_flags & NTF.NTF_EXT_LEARNED) === 0)
    .map(neighbourItem)
}

/**
 * True for a configured entry. Group MACs are left out, because protocols join groups by themselves. So are the interface's own
 * MAC and MACs learned from frames.
 */
function isGiven({ NDA_LLADDR: mac = '', ndm_state: state }: Neigh, own: string): boolean {
  const isGroup = (Number.parseInt(mac.slice(0, 2), 16) & 1) !== 0
  return !isGroup && mac !== own && (state & (NUD.NUD_PERMANENT | NUD.NUD_NOARP)) !== 0
}

function neighbourItem(found: Neigh): CarriedItem {
  const { NDA_CACHEINFO: _, NDA_PROBES: _probes, NDA_MASTER: _master, ...rest } = found
  const place = found.ndm_flags & (NTF.NTF_SELF | NTF.NTF_MASTER)
  // The kernel reports an entry of a bridge without NTF_MASTER, which a request needs.
  const isEntry = found.ndm_family === AF.AF_BRIDGE
  const flags = isEntry && place === 0 ? NTF.NTF_MASTER : 0
  const message = neighMessage.encode({ ...rest, ndm_ifindex: 0, ndm_flags: found.ndm_flags | flags })
  const words = [
    ...(found.NDA_DST === undefined ? [] : [found.NDA_DST]),
    ...(found.NDA_LLADDR === undefined ? [] : [`${isEntry ? '' : 'lladdr '}${found.NDA_LLADDR}`]),
    ...(found.NDA_VLAN === undefined ? [] : [`vlan ${found.NDA_VLAN}`]),
    ...(found.ndm_family === AF.AF_BRIDGE
      ? [(found.ndm_flags & NTF.NTF_SELF) === 0 ? 'master' : 'self']
      : []),
    ...((found.ndm_flags & NTF.NTF_PROXY) === 0 ? [] : ['proxy']),
  ]
  return { what: 'neighbour', words: words.join(' '), message: toHex(message) }
}
