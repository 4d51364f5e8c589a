/**
 * Evaluates matches and targets of x_tables, from rules of iptables-nft and of iptables-legacy: structures of
 * linux/netfilter/xt_*.h and linux/netfilter_ipv4/ipt_*.h, numbers in host order.
 */
import { type Destination, toWords } from './leads-to.ts'
import { all, isSame, type Packet, portBytes } from './packet.ts'
import { type Answer, between } from './registers.ts'

/** Matches that hold for every packet. */
const always: ReadonlySet<string> = new Set(['comment', 'nfacct'])
/** Matches that depend on unknown facts: other fields of the packet, the sender, the time, other traffic. */
const undecided: ReadonlySet<string> = new Set([
  ...[
    'mark',
    'connmark',
    'conntrack',
    'state',
    'statistic',
    'limit',
    'hashlimit',
    'recent',
    'time',
    'random',
  ],
  ...[
    'physdev',
    'mac',
    'owner',
    'cgroup',
    'tos',
    'dscp',
    'ttl',
    'hl',
    'length',
    'pkttype',
    'realm',
    'policy',
  ],
  ...['socket', 'rpfilter', 'connlimit', 'connbytes', 'helper', 'quota', 'cpu', 'devgroup', 'ecn', 'tcpmss'],
])

/** Tests whether a match holds for a packet; undefined for a match that this file cannot read. */
export function xtMatch(
  name: string,
  revision: number,
  info: Uint8Array,
  packet: Packet,
): Answer | undefined {
  if (always.has(name)) return 'yes'
  if (undecided.has(name)) return 'maybe'
  const view = new DataView(info.buffer, info.byteOffset, info.length)
  switch (`${name} ${revision}`) {
    case 'tcp 0':
    case 'udp 0': {
      const flags = view.getUint8(name === 'tcp' ? 11 : 8)
      const isPlain = name === 'udp' || (view.getUint8(8) === 0 && view.getUint8(9) === 0)
      return portsMatch(
        view,
        { source: 0, destination: 4 },
        { flags, source: 1, destination: 2 },
        packet,
        isPlain,
      )
    }
    case 'sctp 0': {
      // struct xt_sctp_info: destination ports, source ports, chunks, then the flags of the used and of the inverted conditions.
      const [flags, inverted] = [view.getUint32(60, true), view.getUint32(64, true)]
      if ((flags & 2) === 0) return flags === 0 ? 'yes' : 'maybe'
      const isIn = view.getUint16(0, true) <= packet.port && packet.port <= view.getUint16(2, true)
      return isIn === ((inverted & 2) !== 0) ? 'no' : flags === 2 ? 'yes' : 'maybe'
    }
    case 'multiport 0':
    case 'multiport 1':
      return multiport(view, revision, packet)
    case 'addrtype 0':
    case 'addrtype 1':
      return addressType(view, revision)
    case 'iprange 1':
      return addressRange(view, info, packet)
    default:
      return undefined
  }
}

function portsMatch(
  view: DataView,
  at: { readonly source: number; readonly destination: number },
  bits: { readonly flags: number; readonly source: number; readonly destination: number },
  { port }: Packet,
  isPlain: boolean,
): Answer {
  const range = (from: number) => [view.getUint16(from, true), view.getUint16(from + 2, true)] as const
  const [first, last] = range(at.destination)
  if ((first <= port && port <= last) === ((bits.flags & bits.destination) !== 0)) return 'no'
  const [from, to] = range(at.source)
  const isAnySource = from === 0 && to === 0xffff && (bits.flags & bits.source) === 0
  return isAnySource && isPlain ? 'yes' : 'maybe'
}

/** struct xt_multiport and xt_multiport_v1. In the latter a port may begin a range, and the next port ends it. */
function multiport(view: DataView, revision: number, { port }: Packet): Answer {
  const [flags, ranges] = [view.getUint8(0), portRanges(view, revision)]
  const inverted = revision === 1 && view.getUint8(47) !== 0
  // XT_MULTIPORT_SOURCE (0) tests the source port alone. XT_MULTIPORT_EITHER (2) tests both ports.
  if (flags === 0) return 'maybe'
  const isIn = ranges.some(([first, last]) => first <= port && port <= last)
  if (flags === 2) return isIn && !inverted ? 'yes' : 'maybe'
  return isIn === inverted ? 'no' : 'yes'
}

function portRanges(view: DataView, revision: number): (readonly [number, number])[] {
  const count = Math.min(view.getUint8(1), 15)
  const ranges: (readonly [number, number])[] = []
  for (let index = 0; index < count; index++) {
    const first = view.getUint16(2 + index * 2, true)
    const isRange = revision === 1 && view.getUint8(32 + index) !== 0
    if (isRange) index++
    ranges.push([first, isRange ? view.getUint16(2 + index * 2, true) : first])
  }
  return ranges
}

/** struct xt_addrtype_info and xt_addrtype_info_v1, linux/netfilter/xt_addrtype.h: masks of 1 << RTN_*. */
function addressType(view: DataView, revision: number): Answer {
  const [source, destination] = [view.getUint16(0, true), view.getUint16(2, true)]
  const inverted = revision === 1 ? (view.getUint32(4, true) & 2) !== 0 : view.getUint32(8, true) !== 0
  const local = 1 << 2
  // A match that is limited to an interface accepts only addresses of that interface as local.
  const isLimited = revision === 1 && (view.getUint32(4, true) & 12) !== 0
  if (destination !== 0 && !isLimited && ((destination & local) !== 0) === inverted) return 'no'
  return source !== 0 || isLimited ? 'maybe' : 'yes'
}

/** struct xt_iprange_mtinfo: first and last source, first and last destination, 16 bytes each. */
function addressRange(view: DataView, info: Uint8Array, { address }: Packet): Answer {
  const flags = view.getUint8(64)
  if ((flags & 2) !== 0) {
    const [first, last] = [32, 48].map((at) => info.subarray(at, at + address.length)) as [
      Uint8Array,
      Uint8Array,
    ]
    const isIn = between(all(address), first, last) === 'yes'
    if (isIn === ((flags & 32) !== 0)) return 'no'
  }
  return (flags & 1) === 0 ? 'yes' : 'maybe'
}

const going: ReadonlySet<string> = new Set([
  ...[
    'MARK',
    'CONNMARK',
    'LOG',
    'NFLOG',
    'ULOG',
    'TRACE',
    'TEE',
    'CT',
    'NOTRACK',
    'TCPMSS',
    'CLASSIFY',
    'AUDIT',
  ],
  ...[
    'SET',
    'HMARK',
    'TOS',
    'DSCP',
    'TTL',
    'HL',
    'ECN',
    'CHECKSUM',
    'RATEEST',
    'LED',
    'IDLETIMER',
    'SECMARK',
  ],
  ...['CONNSECMARK', 'TCPOPTSTRIP', 'CONTINUE'],
])
const ending: ReadonlySet<string> = new Set([
  'ACCEPT',
  'DROP',
  'REJECT',
  'NFQUEUE',
  'QUEUE',
  'MASQUERADE',
  'SNAT',
])
const translating: ReadonlySet<string> = new Set(['DNAT', 'REDIRECT', 'NETMAP'])

/** The effect of a target; undefined for an unknown target, which may translate. */
export function xtTarget(name: string): 'goes on' | 'ends' | 'translates' | undefined {
  if (going.has(name)) return 'goes on'
  if (ending.has(name)) return 'ends'
  return translating.has(name) ? 'translates' : undefined
}

/** Decodes struct nf_nat_ipv4_multi_range_compat and nf_nat_range (linux/netfilter/nf_nat.h); undefined for too few bytes. */
function rangeOf(revision: number, info: Uint8Array, family: 4 | 6) {
  const isOld = revision === 0 && family === 4
  const [flagsAt, addressAt, lastAt, portAt] = isOld ? [4, 8, 12, 16] : [0, 4, 20, 36]
  if (info.length < portAt + 2) return undefined
  const flags = new DataView(info.buffer, info.byteOffset, info.length).getUint32(flagsAt, true)
  const size = family === 4 ? 4 : 16
  return {
    hasAddress: (flags & 1) !== 0,
    hasPort: (flags & 2) !== 0,
    address: info.subarray(addressAt, addressAt + size),
    lastAddress: info.subarray(lastAt, lastAt + size),
    port: info.subarray(portAt, portAt + 2),
    lastPort: info.subarray(portAt + 2, portAt + 4),
  }
}

/** The destination of a target, as text. */
export function xtTranslation(name: string, revision: number, info: Uint8Array, family: 4 | 6): string {
  const range = translating.has(name) ? rangeOf(revision, info, family) : undefined
  if (range === undefined) return `target ${name}`
  const port = range.hasPort ? range.port : undefined
  if (name === 'REDIRECT') return toWords(undefined, port)
  return toWords(range.hasAddress ? range.address : new Uint8Array(), port)
}

/** The single address and port of a DNAT; undefined for ranges, and for targets whose destination depends on the packet. */
export function xtDestination(
  name: string,
  revision: number,
  info: Uint8Array,
  { family, port: ownPort }: Packet,
): Destination | undefined {
  const range = name === 'DNAT' ? rangeOf(revision, info, family) : undefined
  if (range === undefined || range.lastPort.length < 2 || !range.hasAddress) return undefined
  const { address, lastAddress, port, lastPort } = range
  if (!isSame(address, lastAddress)) return undefined
  if (!range.hasPort) return { address, port: portBytes(ownPort) }
  return isSame(port, lastPort) ? { address, port } : undefined
}

/** A match in iptables' words; empty for a match of every port. */
export function xtMatchWords(name: string, revision: number, info: Uint8Array): string {
  const view = new DataView(info.buffer, info.byteOffset, info.length)
  switch (name) {
    case 'comment':
      return `comment "${Buffer.from(info).toString('utf8').replace(/\0.*$/s, '')}"`
    case 'tcp':
    case 'udp': {
      const [first, last] = [view.getUint16(4, true), view.getUint16(6, true)]
      const sign = (view.getUint8(name === 'tcp' ? 11 : 8) & 2) === 0 ? '' : '!= '
      return first === 0 && last === 0xffff
        ? ''
        : `dport ${sign}${first === last ? first : `${first}-${last}`}`
    }
    case 'multiport': {
      const sides = ['sports', 'dports', 'ports']
      const list = portRanges(view, revision).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`))
      return `multiport ${sides[view.getUint8(0)] ?? '…'} ${list.join(',')}`
    }
    case 'addrtype':
      return (view.getUint16(2, true) & 4) === 0 ? 'addrtype …' : 'addrtype dst LOCAL'
    default:
      return `${name} …`
  }
}
