/**
 * Finds foreign NAT: rules and services on the node that translate new connections to host ports (nat chains of nf_tables and
 * iptables-legacy, IPVS). Reads the kernel and runs no program. A node without foreign NAT costs one dump of chains and a read of
 * three files.
 */
import { ipFamily, ipToBytes } from '../../lib/ip.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import { isThere, readText } from '../../sys/files.ts'
import type { ForeignNat } from '../api/port-users.ts'
import type { FreedKey } from '../api/reservations.ts'
import { translatesAt } from '../nftables/host-table.ts'
import { type NatChains, natChains } from './chains.ts'
import type { Base, Found, Mapped, Source } from './follow.ts'
import type { Packet } from './packet.ts'
import type { Wanted } from './skim.ts'

/** Sockets, opened on first use, and the search for an interface. */
export interface ForeignSockets {
  /** Undefined where the kernel has no netfilter. */
  readonly netfilter: NetlinkSocket | undefined
  generic(): NetlinkSocket
  hasLink(name: string): boolean
}

/** Reads the foreign NAT of the node. `keys` are all keys of later questions. */
export function foreignNat(sockets: ForeignSockets, keys: readonly FreedKey[]): ForeignNat {
  const { netfilter } = sockets
  const chains = netfilter === undefined ? { messages: [], kubeProxy: undefined } : natChains(netfilter)
  const hasLegacy = [4, 6].some((family) => hasNat(family === 4 ? 'ip' : 'ip6'))
  const hasIpvs = isThere('/proc/net/ip_vs')
  if (chains.messages.length === 0 && !hasLegacy && !hasIpvs)
    return {
      kubeProxy: chains.kubeProxy,
      taker: () => undefined,
      losses: () => ({ all: undefined, some: [] }),
      unread: () => [],
    }
  return withWays(sockets, keys, chains, hasLegacy)
}

function hasNat(family: 'ip' | 'ip6'): boolean {
  return readText(`/proc/net/${family}_tables_names`)?.split('\n').includes('nat') === true
}

const ways = () => require('./ways.ts') as typeof import('./ways.ts')

function withWays(
  { netfilter, generic, hasLink }: ForeignSockets,
  keys: readonly FreedKey[],
  { messages, kubeProxy }: NatChains,
  hasLegacy: boolean,
): ForeignNat {
  const { basesOf, follow, ipvsServices, legacyNat, nftSource, packetTo, portBytes } = ways()
  const both = ([4, 6] as const).map((family) => wantedOf(family, keys))
  const wanted = both.filter(({ ports }) => ports.size > 0)
  const bases = basesOf(messages)
  // Both families are read, because kube-proxy serves node ports of both, and may show in one only.
  const legacy = hasLegacy ? both.flatMap((one) => legacyNat(one) ?? []) : []
  const service = ipvsServices(generic)
  const nft = () => (netfilter === undefined ? undefined : nftSource(netfilter, wanted))
  const sources: { read: Source; readonly own: readonly Base[]; readonly again?: typeof nft }[] = legacy.map(
    ({ source: read, bases: own }) => ({ read, own }),
  )
  const first = nft()
  if (first !== undefined) sources.unshift({ read: first, own: bases, again: nft })
  const unread = new Set<string>()
  const followed = (source: (typeof sources)[number], packet: Packet, mapped?: Mapped): Found => {
    const inFamily = source.own.filter(({ family }) => isOf(family, packet.family))
    let found = follow(source.read, inFamily, packet, mapped)
    // Another program has replaced the rules during the read. The rules before and after are whole, so a new read helps.
    for (let attempt = 0; attempt < attempts && source.read.isOutdated?.() === true; attempt++) {
      source.read = source.again?.() ?? source.read
      found = follow(source.read, inFamily, packet, mapped)
    }
    for (const line of found.unread) unread.add(line)
    return found
  }
  return {
    kubeProxy:
      kubeProxy ??
      legacy.find((one) => one.kubeProxy !== undefined)?.kubeProxy ??
      (service !== undefined && hasLink('kube-ipvs0') ? 'interface kube-ipvs0' : undefined),
    taker: (key) => {
      const packet = packetTo(key)
      for (const source of sources) {
        const { taken } = followed(source, packet)
        if (taken !== undefined) return taken
      }
      return service?.(packet)
    },
    losses: (key, isHosts) => {
      const packet = packetTo(key)
      const target = { address: ipToBytes(key.toAddress), port: portBytes(key.toPort) }
      // A flow filter comes before every nat chain, so no rule of the chains is passed over then.
      const mapped = { target, upTo: isHosts ? translatesAt : Number.POSITIVE_INFINITY }
      const some: string[] = []
      for (const source of sources) {
        const found = followed(source, packet, mapped)
        some.push(...found.some)
        if (found.taken !== undefined) return { all: found.taken, some }
      }
      return { all: service?.(packet), some }
    },
    unread: () => [...unread],
  }
}

/** Limit of repeated reads while another program replaces rules. */
const attempts = 5

/** True when a table of `nfproto` sees packets of `family`. Tables of NFPROTO_INET (1) see both families. */
function isOf(nfproto: number, family: 4 | 6): boolean {
  return nfproto === 1 || nfproto === (family === 4 ? 2 : 10)
}

function wantedOf(family: 4 | 6, keys: readonly FreedKey[]): Wanted {
  const own = keys.filter(({ address }) => ipFamily(address) === family)
  return {
    family,
    addresses: new Set(own.map(({ address }) => Buffer.from(ipToBytes(address)).toString('latin1'))),
    ports: new Set(own.map(({ port }) => port)),
  }
}
