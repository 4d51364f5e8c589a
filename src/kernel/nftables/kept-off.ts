/**
 * Keeps the node's own connections off steered ports: host ports whose frames flow filters take past the host's stack. A filter has
 * no state, so it would also take the replies to a connection that the node opens from such an address and port. This file builds
 * the chains that prevent such connections, as text for nft and as messages of nf_tables, as nftables/host-table.ts does.
 *
 * A connection of a host program from a steered port gets another source port on its way out, after all chains of others. A
 * connection that others masquerade to a steered port cannot be translated twice. So the first packet is dropped, and the set
 * `again4` or `again6` keeps the original tuple and the new address for a while. The client sends again, and the first nat chain
 * translates to the same address and a random port.
 */
import type { Request } from '../../netlink/message.ts'
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import {
  emptyChain,
  freshChain,
  NF_INET,
  NFT_CMP,
  NFT_CT,
  NFT_META,
  NFT_PAYLOAD,
  NFT_SET,
  type NftExpression,
  type NftSet,
  newRule,
  newSet,
} from '../../netlink/nf/rules.ts'
import { step } from '../../netlink/nf/steps.ts'
import { dropChain } from '../../netlink/nf/tables.ts'
import { steered } from './steered-ports.ts'

/** The maps of connections to translate at the next packet: the original tuple leads to the new source address. */
const again = { 4: 'again4', 6: 'again6' } as const

/** Priorities of the nat chains before and after all others at the hook. */
const [first, last] = [0, 300]
/** A priority after all nat chains: they run together at 100, and their own priorities order them among themselves. */
const behindNat = 150
const chains = { again: 'again', elsewhere: 'elsewhere', clash: 'clash', steered: 'steered' } as const

/** Seconds that a tuple is kept. A TCP client sends again after 1, 3, 7, 15 and 31 seconds. */
const keptSeconds = 60
/** Limit of kept tuples: clients that have to send again at one time. */
const mostKept = 65_535

/** IPS_CONFIRMED, linux/netfilter/nf_conntrack_common.h: set for every packet but the first of a connection. */
const confirmed = 1 << 3

/** The chains, as nft lists them. */
export function keptOffChains(table: string): string {
  const both = (rule: (ip: string, family: 4 | 6) => string) => [rule('ip', 4), rule('ip6', 6)]
  const tuple = (ip: string) =>
    `ct original ${ip} saddr . meta l4proto . ct original proto-src . ct original ${ip} daddr . ct original proto-dst`
  const source = (ip: string, family: 4 | 6) => `${ip} saddr . meta l4proto . th sport @${steered[family]}`
  const chain = (name: string, ...lines: string[]) => `chain ${name} {\n${lines.join('\n')}\n}`
  const base = (type: string, priority: number) =>
    `type ${type} hook postrouting priority ${priority}; policy accept;`
  const elsewhere = both(
    (ip, family) => `oifname != "lo" ${source(ip, family)} snat ${ip} to ${ip} saddr fully-random`,
  )
  const clash = both(
    (ip, family) => `${source(ip, family)} update @${again[family]} { ${tuple(ip)} : ${ip} saddr } drop`,
  )
  const blocks = [
    chain(
      chains.again,
      base('nat', first),
      ...both((ip, family) => `snat ${ip} to ${tuple(ip)} map @${again[family]} fully-random`),
    ),
    chain(chains.elsewhere, base('nat', last), ...elsewhere),
    chain(chains.clash, ...clash),
    chain(
      chains.steered,
      base('filter', behindNat),
      'ct status confirmed accept',
      `oifname != "lo" jump ${chains.clash}`,
    ),
  ]
  return `table inet ${table} {\n${blocks.join('\n')}\n}\n`
}

/** Adds sets and chains to a table that exists, or writes the chains anew. */
export function keptOffRequests(table: string): Request[] {
  const families = [4, 6] as const
  const nat = (name: string, priority: number, rule: (family: 4 | 6) => NftExpression[]) => [
    ...freshChain(table, name, { type: 'nat', hook: NF_INET.NF_INET_POST_ROUTING, priority }),
    ...families.map((family) => newRule(table, name, rule(family))),
  ]
  return [
    ...families.flatMap((family) => setsOf(table, family).map(newSet)),
    ...nat(chains.again, first, translateAgain),
    ...nat(chains.elsewhere, last, (family) => [...byWire(), ...fromSteered(family), ...toOtherPort(family)]),
    ...emptyChain(table, chains.clash),
    ...families.map((family) => newRule(table, chains.clash, [...fromSteered(family), ...keepTuple(family)])),
    ...freshChain(table, chains.steered, {
      ...{ type: 'filter', hook: NF_INET.NF_INET_POST_ROUTING, priority: behindNat },
    }),
    newRule(table, chains.steered, [
      step.connection(NFT_CT.NFT_CT_STATUS, 1),
      step.mask(new Uint8Array(new Uint32Array([confirmed]).buffer)),
      step.compare(NFT_CMP.NFT_CMP_NEQ, new Uint8Array(4)),
      step.accept(),
    ]),
    newRule(table, chains.steered, [...byWire(), step.jump(chains.clash)]),
  ]
}

/** Removes the chains, so that no packet pays for them. The empty sets stay until the table goes. */
export function keptOffRemoval(table: string): Request[] {
  return [chains.steered, chains.again, chains.elsewhere, chains.clash].flatMap((name) =>
    dropChain(table, name),
  )
}

/** Numbers of nft's types (TYPE_* of nft's datatype.h). */
const types = { 4: 7, 6: 8, proto: 12, service: 13 } as const
const concat = (...parts: readonly number[]) => parts.reduce((sum, part) => sum * 64 + part, 0)

function setsOf(table: string, family: 4 | 6): NftSet[] {
  const size = family === 4 ? 4 : 16
  const [address, { proto, service }] = [types[family], types]
  return [
    {
      ...{ NFTA_SET_TABLE: table, NFTA_SET_NAME: steered[family], NFTA_SET_FLAGS: 0 },
      ...{ NFTA_SET_KEY_TYPE: concat(address, proto, service), NFTA_SET_KEY_LEN: size + 8 },
      NFTA_SET_ID: 20 + family,
    },
    {
      ...{ NFTA_SET_TABLE: table, NFTA_SET_NAME: again[family] },
      NFTA_SET_FLAGS: NFT_SET.NFT_SET_MAP | NFT_SET.NFT_SET_TIMEOUT | NFT_SET.NFT_SET_EVAL,
      NFTA_SET_KEY_TYPE: concat(address, proto, service, address, service),
      NFTA_SET_KEY_LEN: 2 * size + 12,
      ...{ NFTA_SET_DATA_TYPE: address, NFTA_SET_DATA_LEN: size },
      NFTA_SET_DESC: { NFTA_SET_DESC_SIZE: mostKept },
      NFTA_SET_ID: 30 + family,
      NFTA_SET_TIMEOUT: BigInt(keptSeconds * 1000),
    },
  ]
}

/** Number of a register of 4 bytes. The parts of a key stand in successive registers. */
const word = (index: number) => 8 + index
const nfproto = { 4: NFPROTO.NFPROTO_IPV4, 6: NFPROTO.NFPROTO_IPV6 } as const

function byWire(): NftExpression[] {
  const loopback = new Uint8Array(16)
  loopback.set(new TextEncoder().encode('lo'))
  return [step.meta(NFT_META.NFT_META_OIFNAME, 1), step.compare(NFT_CMP.NFT_CMP_NEQ, loopback)]
}

function sourceAddress(family: 4 | 6, register: number): NftExpression {
  const [offset, size] = family === 4 ? [12, 4] : [8, 16]
  return step.payload(NFT_PAYLOAD.NFT_PAYLOAD_NETWORK_HEADER, offset, size, register)
}

function fromSteered(family: 4 | 6): NftExpression[] {
  const next = family === 4 ? 1 : 4
  return [
    step.meta(NFT_META.NFT_META_NFPROTO, 1),
    step.compare(NFT_CMP.NFT_CMP_EQ, Uint8Array.of(nfproto[family])),
    sourceAddress(family, 1),
    step.meta(NFT_META.NFT_META_L4PROTO, word(next)),
    step.payload(NFT_PAYLOAD.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, word(next + 1)),
    step.lookup(steered[family], 1),
  ]
}

function toOtherPort(family: 4 | 6): NftExpression[] {
  return [sourceAddress(family, 1), step.newSource(nfproto[family], 1)]
}

/** Loads the original tuple. A packet without a connection, or of the other family, has no such tuple, which ends the nft rule. */
function originalTuple(family: 4 | 6): NftExpression[] {
  const [size, source, destination] =
    family === 4
      ? [1, NFT_CT.NFT_CT_SRC_IP, NFT_CT.NFT_CT_DST_IP]
      : [4, NFT_CT.NFT_CT_SRC_IP6, NFT_CT.NFT_CT_DST_IP6]
  return [
    step.connection(source, word(0), true),
    step.meta(NFT_META.NFT_META_L4PROTO, word(size)),
    step.connection(NFT_CT.NFT_CT_PROTO_SRC, word(size + 1), true),
    step.connection(destination, word(size + 2), true),
    step.connection(NFT_CT.NFT_CT_PROTO_DST, word(2 * size + 2), true),
  ]
}

function translateAgain(family: 4 | 6): NftExpression[] {
  return [
    ...originalTuple(family),
    step.lookup(again[family], word(0), 1),
    step.newSource(nfproto[family], 1),
  ]
}

function keepTuple(family: 4 | 6): NftExpression[] {
  const behind = word(family === 4 ? 5 : 11)
  return [
    ...originalTuple(family),
    sourceAddress(family, behind),
    step.update(again[family], word(0), behind),
    step.drop(),
  ]
}
