/** Reads the rules and sets of foreign chains in nf_tables, those of iptables-nft included. */
import { notice } from '../../lib/log/notice.ts'
import {
  decodeChain,
  decodeSet,
  dumpRules,
  dumpSetElements,
  getElement,
  getSet,
  NFT_SEEN,
  type Place,
  ruleMessage,
} from '../../netlink/nf/others.ts'
import { NF_INET } from '../../netlink/nf/rules.ts'
import { commentOf, decodeElements, type NftElement } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import { tolerate } from '../errors.ts'
import type { Base, Source } from './follow.ts'
import { isKnown, type Partly, part } from './packet.ts'
import { type Answer, between, equal } from './registers.ts'
import { skimmer, type Wanted } from './skim.ts'
import type { FindElements, Rule } from './verdict.ts'

/** Errors without the table or set, and of a kernel without nf_tables or without the request. */
const absent = ['ENOENT', 'EINVAL', 'EOPNOTSUPP'] as const

/** The nat chains on the hooks before routing, from messages of chains. */
export function basesOf(messages: readonly Uint8Array[]): Base[] {
  return messages.flatMap((message) => {
    const { nfgen_family: family, ...chain } = decodeChain(message)
    const hook = chain.NFTA_CHAIN_HOOK?.NFTA_HOOK_HOOKNUM
    const [table, name] = [chain.NFTA_CHAIN_TABLE, chain.NFTA_CHAIN_NAME]
    const isBefore = hook === NF_INET.NF_INET_PRE_ROUTING || hook === NF_INET.NF_INET_LOCAL_OUT
    if (chain.NFTA_CHAIN_TYPE !== 'nat' || !isBefore || table === undefined || name === undefined) return []
    const priority = (chain.NFTA_CHAIN_HOOK?.NFTA_HOOK_PRIORITY ?? 0) | 0
    return [{ family, table, name, hook, priority }]
  })
}

/** A source of rules and sets that reads each chain once. */
export function nftSource(socket: NetlinkSocket, wanted: readonly Wanted[]): Source {
  const rules = new Map<string, readonly Rule[]>()
  let isOutdated = false
  const rulesOf = (place: Place, family: 4 | 6): readonly Rule[] => {
    const name = `${place.family} ${place.table} ${place.name}`
    const known = rules.get(`${family} ${name}`)
    if (known !== undefined) return known
    const mine = wanted.find((one) => one.family === family)
    const left =
      mine === undefined ? [] : tolerate(absent, () => socket.skim(dumpRules(place), skimmer(mine)))
    if (left === undefined) isOutdated = true
    const read = (left ?? []).flatMap((payload) => readRule(place, payload))
    rules.set(`${family} ${name}`, read)
    return read
  }
  return { rules: rulesOf, find: finder(socket), isOutdated: () => isOutdated }
}

function readRule(place: Place, payload: Uint8Array): Rule[] {
  try {
    const { NFTA_RULE_EXPRESSIONS: expressions = [], NFTA_RULE_USERDATA: data } = ruleMessage.decode(payload)
    // The comment of a rule has the same form as the comment of an element.
    const comment = data === undefined ? '' : commentOf({ NFTA_SET_ELEM_USERDATA: data })
    return [{ place, expressions, comment: comment === '' ? undefined : comment }]
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    notice(
      `vf-offload: Cannot read a rule of table ${place.table} chain ${place.name}, which is passed over: ${error.message}`,
    )
    return []
  }
}

/** The form of a set. */
interface SetKind {
  readonly keyLength: number
  readonly isInterval: boolean
  /** Lengths in bytes of the parts of a concatenated key. Each part may be a range. */
  readonly fields: readonly number[]
}

function finder(socket: NetlinkSocket): FindElements {
  const kinds = new Map<string, SetKind | undefined>()
  const kindOf = (place: Place): SetKind | undefined => {
    const name = `${place.family} ${place.table} ${place.name}`
    if (!kinds.has(name)) kinds.set(name, readKind(socket, place))
    return kinds.get(name)
  }
  return (place, keyOf) => {
    const kind = kindOf(place)
    // The set is gone together with its rule.
    if (kind === undefined) return { answer: 'no', elements: [] }
    const key = keyOf(kind.keyLength)
    if (!isKnown(key)) return candidates(socket, place, kind, key)
    const found = ask(socket, place, key.bytes) ?? ask(socket, place, undefined)
    return found === undefined ? { answer: 'no', elements: [] } : { answer: 'yes', elements: found }
  }
}

function readKind(socket: NetlinkSocket, place: Place): SetKind | undefined {
  const [answer] = tolerate(absent, () => socket.request(getSet(place)).messages) ?? []
  if (answer === undefined) return undefined
  const {
    NFTA_SET_FLAGS: flags = 0,
    NFTA_SET_KEY_LEN: keyLength = 0,
    NFTA_SET_DESC: desc,
  } = decodeSet(answer.payload)
  const fields = (desc?.NFTA_SET_DESC_CONCAT ?? []).map(({ NFTA_SET_FIELD_LEN: length = 0 }) => length)
  return { keyLength, isInterval: (flags & NFT_SEEN.NFT_SET_INTERVAL) !== 0, fields }
}

/** The element with the key, or the catch-all element without a key; undefined when there is none. */
function ask(socket: NetlinkSocket, place: Place, key: Uint8Array | undefined): NftElement[] | undefined {
  try {
    return socket.request(getElement(place, key)).messages.flatMap((message) => [...decodeElements(message)])
  } catch (error) {
    if (error instanceof NetlinkError && (absent as readonly string[]).includes(error.code)) return undefined
    throw error
  }
}

/** All elements that may match a partly known key. */
function candidates(
  socket: NetlinkSocket,
  place: Place,
  { isInterval, fields }: SetKind,
  key: Partly,
): { readonly answer: Answer; readonly elements: readonly NftElement[] } {
  const messages = tolerate(absent, () => socket.dump(dumpSetElements(place))) ?? []
  const elements = messages
    .flatMap((message) => [...decodeElements(message)])
    .filter(({ NFTA_SET_ELEM_KEY: own, NFTA_SET_ELEM_KEY_END: end, NFTA_SET_ELEM_FLAGS: flags = 0 }) => {
      if ((flags & NFT_SEEN.NFT_SET_ELEM_INTERVAL_END) !== 0) return false
      const first = own?.NFTA_DATA_VALUE
      if (first === undefined) return true
      if (!isInterval) return equal(key, first) !== 'no'
      return mayBeIn(key, first, end?.NFTA_DATA_VALUE, fields)
    })
  return { answer: elements.length === 0 ? 'no' : 'maybe', elements }
}

/** True when the key may be in the range. Each part of a key begins at a multiple of 4 bytes and has a range of its own. */
function mayBeIn(
  key: Partly,
  first: Uint8Array,
  last: Uint8Array | undefined,
  fields: readonly number[],
): boolean {
  if (last === undefined) return true
  let at = 0
  for (const length of fields) {
    const range = [first, last].map((end) => end.subarray(at, at + length)) as [Uint8Array, Uint8Array]
    if (between(part(key, at, length), ...range) === 'no') return false
    at += (length + 3) & ~3
  }
  return true
}
