/**
 * Compares the chains of the host's table with those that a reservation makes, by netlink and chain by chain. The program nft, which
 * tells how chains differ, reads the whole table for that: it has a chain for each pod with ports.
 */
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import { dumpRules } from '../../netlink/nf/others.ts'
import { decodeChainOf, decodeRuleOf } from '../../netlink/nf/rules.ts'
import { getChain } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { Reservation } from '../nftables/host-keys.ts'
import {
  guardRequests,
  hostTable,
  hostTableRequests,
  needGuard,
  sourceRequests,
} from '../nftables/host-table.ts'
import { keptOffRequests } from '../nftables/kept-off.ts'
import { absent } from '../nftables/map-elements.ts'

/** A chain, with the steps of its rules in their order. */
interface Chain {
  readonly chain: object
  readonly rules: readonly unknown[]
}

/**
 * True when the chains that a reservation needs surely are as this version makes them, with the question for the node's addresses or, as
 * on a node with VRFs, without. False says nothing: what differs, if anything does, is for nft to tell.
 */
export function areChainsAsMade(socket: NetlinkSocket, reservation: Reservation): boolean {
  const found = new Map<string, Chain | undefined>()
  const isThere = (name: string, wanted: Chain): boolean => {
    if (!found.has(name)) found.set(name, chainIn(socket, name))
    const chain = found.get(name)
    return chain !== undefined && isChain(chain.chain, wanted.chain) && agree(chain.rules, wanted.rules)
  }
  try {
    return [true, false].some((asksNode) =>
      [...wantedChains(reservation, asksNode)].every(([name, wanted]) => isThere(name, wanted)),
    )
  } catch (error) {
    // Bytes that this version can't read are none that it has made.
    if (error instanceof RangeError) return false
    throw error
  }
}

/** The chains as the requests make them that write them. */
function wantedChains(
  { keys, masquerade, owner, steered }: Reservation,
  asksNode: boolean,
): ReadonlyMap<string, Chain> {
  const wanted = new Map<string, { chain: object; rules: unknown[] }>()
  for (const request of [
    ...hostTableRequests(true, asksNode),
    ...(needGuard(keys) ? guardRequests() : []),
    ...sourceRequests(masquerade, owner),
    ...(steered === true ? keptOffRequests(hostTable) : []),
  ]) {
    if (request.name === 'NFT_MSG_NEWCHAIN') {
      const chain = decodeChainOf(request)
      wanted.set(chain.NFTA_CHAIN_NAME ?? '', { chain, rules: [] })
    } else if (request.name === 'NFT_MSG_NEWRULE') {
      const rule = decodeRuleOf(request)
      wanted.get(rule.NFTA_RULE_CHAIN ?? '')?.rules.push(rule.NFTA_RULE_EXPRESSIONS ?? [])
    }
  }
  return wanted
}

/** Attributes of a rule that nft shows as more than its steps: NFTA_RULE_COMPAT, NFTA_RULE_USERDATA with a comment. */
const besideSteps = ['#5', '#7'] as const

/** The chain that is there; undefined when there is none, and when one of its rules has more than steps. */
function chainIn(socket: NetlinkSocket, name: string): Chain | undefined {
  try {
    const [message] = socket.request(getChain(hostTable, name)).messages
    if (message === undefined) return undefined
    const place = { family: NFPROTO.NFPROTO_INET, table: hostTable, name }
    const rules = socket.dump(dumpRules(place)).map(decodeRuleOf)
    if (rules.some((rule) => besideSteps.some((key) => Object.hasOwn(rule, key)))) return undefined
    return {
      chain: decodeChainOf(message),
      rules: rules.map(({ NFTA_RULE_EXPRESSIONS: steps = [] }) => steps),
    }
  } catch (error) {
    if (error instanceof NetlinkError && absent.includes(error.code)) return undefined
    throw error
  }
}

/** Attributes of a listed chain that nft does not show: handle, number of users, counters, padding, NFTA_CHAIN_ID. */
const unshown: ReadonlySet<string> = new Set(['#2', '#6', '#8', '#9', '#11'])

/** NFTA_CHAIN_POLICY NF_ACCEPT, and NFTA_CHAIN_FLAGS NFT_CHAIN_BASE, which newer kernels show: a u32 1 of the network's byte order. */
const one = [0, 0, 0, 1]

/** Fields of a listed chain beside those of the one that was asked for; a policy other than "accept" is a difference. */
function isChain(found: object, wanted: object): boolean {
  const { '#5': policy, '#10': flags, ...rest } = found as Readonly<Record<string, unknown>>
  const isBase = Object.hasOwn(wanted, 'NFTA_CHAIN_HOOK')
  if (isBase ? !isOne(policy) : policy !== undefined) return false
  if (flags !== undefined && !isOne(flags) && !isEmpty(flags)) return false
  return agree(Object.fromEntries(Object.entries(rest).filter(([key]) => !unshown.has(key))), wanted)
}

function isOne(value: unknown): boolean {
  return (
    value instanceof Uint8Array && value.length === one.length && one.every((byte, at) => value[at] === byte)
  )
}

/** Fields of the header of a message that say nothing of the object. */
const ofHeader: ReadonlySet<string> = new Set(['nfgen_family', 'version', 'res_id'])

/** True when `found` is `wanted`, and what `found` has beside that is what the kernel adds. */
function agree(found: unknown, wanted: unknown): boolean {
  if (found instanceof Uint8Array || wanted instanceof Uint8Array)
    return found instanceof Uint8Array && wanted instanceof Uint8Array && Buffer.compare(found, wanted) === 0
  if (Array.isArray(found) || Array.isArray(wanted)) {
    if (!Array.isArray(found) || !Array.isArray(wanted) || found.length !== wanted.length) return false
    return found.every((each, at) => agree(each, wanted[at]))
  }
  if (typeof found !== 'object' || typeof wanted !== 'object' || found === null || wanted === null)
    return found === wanted
  const [has, asks] = [found, wanted] as Readonly<Record<string, unknown>>[]
  for (const key of new Set([...Object.keys(has ?? {}), ...Object.keys(asks ?? {})])) {
    if (ofHeader.has(key)) continue
    const [now, then] = [has?.[key], asked(key, asks ?? {})]
    if (then === undefined ? !isEmpty(plain(key, now)) : !agree(plain(key, now), plain(key, then)))
      return false
  }
  return true
}

/** The end of a range that was not asked for is its beginning. */
function asked(key: string, wanted: Readonly<Record<string, unknown>>): unknown {
  return wanted[key] ?? (key.endsWith('_MAX') ? wanted[key.replace(/MAX$/, 'MIN')] : undefined)
}

/** Names of attributes with the number of a register. */
const register = /_[DS]REG(_|$)|_REG_/

/** NF_NAT_RANGE_* that the kernel sets by itself, linux/netfilter/nf_nat.h: an address and a port are given. */
const setByKernel = 0x3

/** A value in one of the forms that mean the same. */
function plain(key: string, value: unknown): unknown {
  if (typeof value !== 'number') return value
  // The registers 8, 12, 16 and 20 of four bytes are the beginnings of 1 to 4, and are listed as these.
  if (register.test(key) && value >= 8 && value % 4 === 0) return value / 4 - 1
  return key === 'NFTA_NAT_FLAGS' ? value & ~setByKernel : value
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === 0) return true
  if (value instanceof Uint8Array) return value.every((byte) => byte === 0)
  return typeof value === 'object' && value !== null && Object.values(value).every(isEmpty)
}
