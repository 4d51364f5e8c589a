/**
 * Builds the host table `inet vf-flower`: `hostChains` as text for nft, `hostTableRequests` as messages of nf_tables. A test in the
 * lab loads the text by nft and the messages by netlink, and compares the two listings of nft.
 */

import { type Cidr, ipFamily, ipToBytes, networkOf, parseCidr } from '../../lib/ip.ts'
import type { Request } from '../../netlink/message.ts'
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import {
  emptyChain,
  freshChain,
  NF_INET,
  NFT_CMP,
  NFT_CT,
  NFT_DATA_VERDICT,
  NFT_META,
  NFT_PAYLOAD,
  NFT_SET,
  type NftExpression,
  type NftSet,
  newRule,
  newSet,
} from '../../netlink/nf/rules.ts'
import { step } from '../../netlink/nf/steps.ts'
import type { Masquerade, PortKey } from '../../ops/op.ts'
import { isThere } from '../../sys/files.ts'

/** The name of the host table. */
export const hostTable = 'vf-flower'
/** The maps of reservations: a host port leads to a pod's address and port. */
export const ports = { 4: 'ports4', 6: 'ports6' } as const
/**
 * The maps of reservations with masquerade: a host port leads to the chain of its owner, and the chain has the sources to
 * masquerade. One set of sources and ports would need no chains. But the kernel removes an element from a set of ranges in time
 * proportional to the size of the set, and hundreds of ports on a node would make each DEL slow.
 */
export const masquerades = { 4: 'snat4', 6: 'snat6' } as const
/** The chain that keeps 127.0.0.0/8 to the host's own programs. */
export const guardChain = 'guard'

/** Numbers of nft's types (TYPE_* of nft's datatype.h). */
const types = { 4: 7, 6: 8, proto: 12, service: 13 } as const
const concat = (...parts: readonly number[]) => parts.reduce((sum, part) => sum * 64 + part, 0)
/** NF_INET_PRE_ROUTING at NF_IP_PRI_RAW, linux/netfilter_ipv4.h. */
const raw = -300
/** IPS_DST_NAT, linux/netfilter/nf_conntrack_common.h. */
const destinationTranslated = 1 << 5

/**
 * Priority of the translation of host ports: after the chains of kube-proxy and others at `dstnat` (-100), so that a service
 * keeps its port.
 */
export const translatesAt = -95
/** Hook and priority of each chain. Postrouting comes before the chains of others at `srcnat` (100). */
const chains = [
  ['prerouting', NF_INET.NF_INET_PRE_ROUTING, translatesAt],
  ['output', NF_INET.NF_INET_LOCAL_OUT, translatesAt],
  ['postrouting', NF_INET.NF_INET_POST_ROUTING, 95],
] as const

/**
 * The chains as nft lists them after a reservation. The guard exists for keys of 127.0.0.0/8, and the owner's chain for
 * masquerade. `isFormer`: the form of an old version, and of a node with VRFs, which does not ask whether the node has the address.
 */
export function hostChains(
  keys: readonly Pick<PortKey, 'address'>[],
  masquerade: readonly Masquerade[] = [],
  owner = '',
  isFormer = false,
): string {
  const both = (rule: (ip: string, family: 4 | 6) => string) => [rule('ip', 4), rule('ip6', 6)]
  // An address of the map may have left the node. Its connections must reach the address's present owner.
  const local = isFormer ? '' : 'fib daddr type local '
  const translate = both(
    (ip, family) => `${local}dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @${ports[family]}`,
  )
  const lookUp = both((ip, family) => {
    const asked = `ct original ${ip} daddr . meta l4proto . ct original proto-dst`
    return `ct status dnat ${asked} vmap @${masquerades[family]}`
  })
  const chain = (name: string, rules: readonly string[]) => `chain ${name} {\n${rules.join('\n')}\n}`
  const base = (name: string, type: string, rules: readonly string[]) =>
    chain(name, [`${type}; policy accept;`, ...rules])
  const texts = chains.map(([name, , priority]) =>
    base(name, `type nat hook ${name} priority ${priority}`, name === 'postrouting' ? lookUp : translate),
  )
  if (needGuard(keys)) {
    const rules = ['meta iifkind "vrf" accept', ...guarded.map(([, word]) => `iifname != "lo" ${word} drop`)]
    texts.push(base(guardChain, 'type filter hook prerouting priority raw', rules))
  }
  if (masquerade.length > 0) {
    const rules = sourcesOf(masquerade).map((source) => {
      const ip = ipFamily(source.ip) === 4 ? 'ip' : 'ip6'
      const nfproto = ip === 'ip' ? 'ipv4' : 'ipv6'
      const isHost = source.prefix === 8 * ipToBytes(source.ip).length
      const of =
        source.prefix === 0
          ? `meta nfproto ${nfproto}`
          : `${ip} saddr ${source.ip}${isHost ? '' : `/${source.prefix}`}`
      return `${of} masquerade`
    })
    texts.push(chain(sourceChain(owner), rules))
  }
  return `table inet ${hostTable} {\n${texts.join('\n')}\n}\n`
}

/** The name of an owner's chain, which has the sources to masquerade. `owner` begins with a cookie of 32 hexadecimal digits. */
export function sourceChain(owner: string): string {
  return `${sourcePrefix}${owner.slice(0, 32)}`
}

/** The names of all owners' chains begin with this. */
export const sourcePrefix = 'from-'

/** Each key with masquerade once: a key has one entry for each network of clients. */
export function masqueradedKeys(masquerade: readonly Masquerade[]): Masquerade[] {
  return [...new Map(masquerade.map((one) => [`${one.address} . ${one.proto} . ${one.port}`, one])).values()]
}

/** Each network of clients once. */
function sourcesOf(masquerade: readonly Masquerade[]): Cidr[] {
  return [...new Set(masquerade.map(({ source }) => source))].map((source) => networkOf(parseCidr(source)))
}

/** True when one of the keys has a loopback address of the host. */
export function needGuard(keys: readonly Pick<PortKey, 'address'>[]): boolean {
  return keys.some(({ address }) => address.startsWith('127.'))
}

/**
 * Adds the sets that the table lacks, and writes its chains anew. The table exists, or the same transaction creates it.
 * `counted`: the maps of reservations count the connections to each port. The kernel refuses (EEXIST) to change a map of an old
 * version, which does not count. `asksNode`: only an address that the node has at the time of a connection is translated.
 */
export function hostTableRequests(counted: boolean, asksNode = !hasVrfs()): readonly Request[] {
  return once(`table ${counted} ${asksNode}`, () => [
    ...([4, 6] as const).flatMap((family) => setsOf(family, counted).map(newSet)),
    ...chains.flatMap(([name, hook, priority]) =>
      freshChain(hostTable, name, { type: 'nat', hook, priority }),
    ),
    ...([4, 6] as const).flatMap((family) => [
      newRule(hostTable, 'prerouting', translation(family, asksNode)),
      newRule(hostTable, 'output', translation(family, asksNode)),
      newRule(hostTable, 'postrouting', sourceLookUp(family)),
    ]),
  ])
}

/** Requests that are the same each time, by what they are for: to make them takes longer than the kernel takes to carry them out. */
const made = new Map<string, readonly Request[]>()

function once(what: string, make: () => readonly Request[]): readonly Request[] {
  const known = made.get(what)
  if (known !== undefined) return known
  const requests = make()
  made.set(what, requests)
  return requests
}

/**
 * Addresses that no packet from outside may have: family, nft's words, offset in the network header, bytes. ::ffff:127.0.0.0/104 is
 * among them: sockets of both families show ::ffff:127.0.0.1 as 127.0.0.1, and kernels accept it as a source from any interface.
 */
const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127)
const guarded = [
  [4, 'ip daddr 127.0.0.0/8', 16, Uint8Array.of(127)],
  [4, 'ip saddr 127.0.0.0/8', 12, Uint8Array.of(127)],
  [6, 'ip6 daddr ::ffff:127.0.0.0/104', 24, mapped],
  [6, 'ip6 saddr ::ffff:127.0.0.0/104', 8, mapped],
] as const

/**
 * Keeps the services on 127.0.0.0/8 to the host's own programs, where a mapping needs route_localnet and the kernel then routes
 * these addresses (CVE-2020-8558). Drops packets from outside to and from 127.0.0.0/8. Accepts packets from a VRF device: a VRF
 * delivers to itself with such addresses, and packets from the wires of a VRF have passed this chain before, as the wires' own.
 */
export function guardRequests(): readonly Request[] {
  return once('guard', () => [
    ...freshChain(hostTable, guardChain, {
      type: 'filter',
      hook: NF_INET.NF_INET_PRE_ROUTING,
      priority: raw,
    }),
    newRule(hostTable, guardChain, [
      step.meta(NFT_META.NFT_META_IIFKIND, 1),
      step.compare(NFT_CMP.NFT_CMP_EQ, nameBytes('vrf')),
      step.accept(),
    ]),
    ...guarded.map(([family, , offset, bytes]) =>
      newRule(hostTable, guardChain, [
        step.meta(NFT_META.NFT_META_IIFNAME, 1),
        step.compare(NFT_CMP.NFT_CMP_NEQ, nameBytes('lo')),
        ...onlyFamily(family),
        step.payload(NFT_PAYLOAD.NFT_PAYLOAD_NETWORK_HEADER, offset, bytes.length, 1),
        step.compare(NFT_CMP.NFT_CMP_EQ, bytes),
        step.drop(),
      ]),
    ),
  ])
}

/** A name as the kernel compares it: 16 bytes, padded with zeros. */
function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes.set(new TextEncoder().encode(name))
  return bytes
}

/** Creates an owner's chain, or writes it anew. Without masquerade the chain is empty: its name tells that the owner has ports. */
export function sourceRequests(masquerade: readonly Masquerade[], owner: string): Request[] {
  const name = sourceChain(owner)
  return [
    ...emptyChain(hostTable, name),
    ...sourcesOf(masquerade).map((source) => newRule(hostTable, name, masquerading(source))),
  ]
}

function setsOf(family: 4 | 6, counted: boolean): NftSet[] {
  const size = family === 4 ? 4 : 16
  const [address, proto, service] = [types[family], types.proto, types.service]
  const map = (name: string) => ({
    ...{ NFTA_SET_TABLE: hostTable, NFTA_SET_NAME: name, NFTA_SET_FLAGS: NFT_SET.NFT_SET_MAP },
    ...{ NFTA_SET_KEY_TYPE: concat(address, proto, service), NFTA_SET_KEY_LEN: size + 8 },
  })
  return [
    {
      ...map(ports[family]),
      ...{ NFTA_SET_DATA_TYPE: concat(address, service), NFTA_SET_DATA_LEN: size + 4, NFTA_SET_ID: family },
      // The counter costs little: only the first packet of a connection reaches the nat chains.
      ...(counted ? { NFTA_SET_EXPR: { NFTA_EXPR_NAME: 'counter', NFTA_EXPR_DATA: {} } } : {}),
    },
    { ...map(masquerades[family]), NFTA_SET_DATA_TYPE: NFT_DATA_VERDICT, NFTA_SET_ID: 10 + family },
  ]
}

/** Registers 1 to 4 have 16 bytes each; 8 to 23 are the same bytes in words of 4. The parts of a key stand in successive words. */
const word = (index: number) => 8 + index

function onlyFamily(family: 4 | 6): NftExpression[] {
  const nfproto = family === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6
  return [step.meta(NFT_META.NFT_META_NFPROTO, 1), step.compare(NFT_CMP.NFT_CMP_EQ, Uint8Array.of(nfproto))]
}

/** True when the node may have VRFs. `fib` looks in the main `local` table, which lacks the addresses of interfaces in a VRF. */
function hasVrfs(): boolean {
  // The kernel's module vrf creates this folder (sysctl net.vrf.strict_mode).
  return isThere('/proc/sys/net/vrf')
}

function translation(family: 4 | 6, asksNode: boolean): NftExpression[] {
  const [offset, size] = family === 4 ? [16, 4] : [24, 16]
  const next = size / 4
  const nfproto = family === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6
  return [
    ...onlyFamily(family),
    ...(asksNode ? step.toNode() : []),
    step.payload(NFT_PAYLOAD.NFT_PAYLOAD_NETWORK_HEADER, offset, size, 1),
    step.meta(NFT_META.NFT_META_L4PROTO, word(next)),
    step.payload(NFT_PAYLOAD.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, word(next + 1)),
    step.lookup(ports[family], 1, 1),
    step.translate(nfproto, 1, word(next)),
  ]
}

/** The nft rule that finds a connection's owner. A connection of the other family has no such address, which ends the rule. */
function sourceLookUp(family: 4 | 6): NftExpression[] {
  const [size, original] = family === 4 ? [4, NFT_CT.NFT_CT_DST_IP] : [16, NFT_CT.NFT_CT_DST_IP6]
  const next = size / 4
  const flag = new Uint8Array(new Uint32Array([destinationTranslated]).buffer)
  return [
    step.connection(NFT_CT.NFT_CT_STATUS, 1),
    step.mask(flag),
    step.compare(NFT_CMP.NFT_CMP_NEQ, new Uint8Array(4)),
    step.connection(original, 1, true),
    step.meta(NFT_META.NFT_META_L4PROTO, word(next)),
    step.connection(NFT_CT.NFT_CT_PROTO_DST, word(next + 1), true),
    step.lookup(masquerades[family], 1, 0),
  ]
}

function masquerading({ ip, prefix }: Cidr): NftExpression[] {
  const family = ipFamily(ip)
  if (prefix === 0) return [...onlyFamily(family), step.masquerade()]
  const [offset, size] = family === 4 ? [12, 4] : [8, 16]
  // nft's own form: a prefix of whole bytes is a shorter read, any other prefix is a mask.
  const whole = prefix % 8 === 0
  const length = whole ? prefix / 8 : size
  const mask = Uint8Array.from(
    { length: size },
    (_, at) => (0xff00 >> Math.min(Math.max(prefix - at * 8, 0), 8)) & 0xff,
  )
  return [
    ...onlyFamily(family),
    step.payload(NFT_PAYLOAD.NFT_PAYLOAD_NETWORK_HEADER, offset, length, 1),
    ...(whole ? [] : [step.mask(mask)]),
    step.compare(NFT_CMP.NFT_CMP_EQ, ipToBytes(ip).slice(0, length)),
    step.masquerade(),
  ]
}
