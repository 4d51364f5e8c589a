/** Prints foreign rules for error messages. The kernel keeps no text, so rules are decoded. `…` stands for an unknown part. */
import { ipFromBytes } from '../../lib/ip.ts'
import type { Value } from '../../netlink/codec/wire.ts'
import { NFT_SEEN, seen, VERDICT } from '../../netlink/nf/others.ts'
import { NFT_CMP, NFT_META } from '../../netlink/nf/rules.ts'
import { commentOf, type NftElement, type nftVerdict } from '../../netlink/nf/tables.ts'
import { more, portWords } from './leads-to.ts'
import type { Rule } from './verdict.ts'
import { xtMatchWords } from './xt.ts'

/** nft's names of NFPROTO_*. */
const families: Readonly<Record<number, string>> = { 1: 'inet', 2: 'ip', 10: 'ip6' }
/** IPPROTO_*, linux/in.h. */
const protocols: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' }

/** `table ip nat chain KUBE-NODEPORTS`. */
export function placeWords({ place, nameOf }: Rule): string {
  const name = nameOf?.(place.name) ?? place.name
  return `table ${families[place.family] ?? place.family} ${place.table} chain ${name}`
}

/** A rule in one line. `element` is the matched element of its map, `to` the destination of its translation. */
export function ruleWords(rule: Rule, element: NftElement | undefined, to: string | undefined): string {
  const words: string[] = []
  let loaded = ''
  for (const { NFTA_EXPR_NAME: name = '', NFTA_EXPR_DATA: data = new Uint8Array() } of rule.expressions) {
    try {
      const said = expressionWords(name, data, loaded, element, rule.nameOf)
      if (said.loaded !== undefined) loaded = said.loaded
      if (said.words !== '') words.push(said.words)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      words.push(more)
    }
  }
  if (to !== undefined) words.push(to)
  const comment = rule.comment ?? (element === undefined ? '' : commentOf(element))
  if (comment !== '') words.push(`comment "${comment}"`)
  return words.filter((word, index) => word !== more || words[index - 1] !== more).join(' ')
}

function expressionWords(
  name: string,
  data: Uint8Array,
  loaded: string,
  element: NftElement | undefined,
  nameOf: Rule['nameOf'],
): { readonly words: string; readonly loaded?: string } {
  switch (name) {
    case 'counter':
    // The destination stands at the end of the line.
    case 'nat':
    case 'redir':
    case 'target':
      return { words: '' }
    case 'meta':
      return { words: '', loaded: metaWords(seen.meta.decode(data).NFTA_META_KEY) }
    case 'payload':
      return { words: '', loaded: payloadWords(seen.payload.decode(data)) }
    case 'fib':
      return { words: '', loaded: 'fib daddr type' }
    case 'bitwise':
      return { words: '', loaded: `${loaded} & ${more}` }
    case 'cmp': {
      const { NFTA_CMP_OP: operator, NFTA_CMP_DATA: given } = seen.cmp.decode(data)
      return { words: compareWords(loaded, operator ?? 0, given?.NFTA_DATA_VALUE ?? new Uint8Array()) }
    }
    case 'range': {
      const {
        NFTA_RANGE_FROM_DATA: from,
        NFTA_RANGE_TO_DATA: to,
        NFTA_RANGE_OP: operator,
      } = seen.range.decode(data)
      const [first, last] = [from, to].map((end) =>
        valueWords(loaded, end?.NFTA_DATA_VALUE ?? new Uint8Array()),
      )
      return { words: `${loaded} ${operator === NFT_CMP.NFT_CMP_NEQ ? '!= ' : ''}${first}-${last}` }
    }
    case 'lookup': {
      const { NFTA_LOOKUP_SET: set, NFTA_LOOKUP_DREG: to } = seen.lookup.decode(data)
      const verdict = element?.NFTA_SET_ELEM_DATA?.NFTA_DATA_VERDICT
      const leads = to === 0 && verdict !== undefined ? ` (${verdictWords(verdict)})` : ''
      return { words: `${loaded}${to === undefined ? '' : to === 0 ? ' vmap' : ' map'} @${set}${leads}` }
    }
    case 'immediate': {
      const verdict = seen.immediate.decode(data).NFTA_IMMEDIATE_DATA?.NFTA_DATA_VERDICT
      return { words: verdict === undefined ? '' : verdictWords(verdict, nameOf) }
    }
    case 'match': {
      const {
        NFTA_MATCH_NAME: kind = '',
        NFTA_MATCH_REV: revision = 0,
        NFTA_MATCH_INFO: info,
      } = seen.match.decode(data)
      return { words: xtMatchWords(kind, revision, info ?? new Uint8Array()) }
    }
    default:
      return { words: more, loaded: more }
  }
}

function verdictWords(given: Value<typeof nftVerdict>, nameOf?: Rule['nameOf']): string {
  const { NFTA_VERDICT_CODE: code = 0, NFTA_VERDICT_CHAIN: target = '' } = given
  const chain = nameOf?.(target) ?? target
  const words: Readonly<Record<number, string>> = {
    [VERDICT.NF_ACCEPT]: 'accept',
    [VERDICT.NF_DROP]: 'drop',
    [VERDICT.NFT_JUMP]: `jump ${chain}`,
    [VERDICT.NFT_GOTO]: `goto ${chain}`,
    [VERDICT.NFT_RETURN]: 'return',
  }
  return words[code | 0] ?? more
}

function metaWords(key: number | undefined): string {
  const words: Readonly<Record<number, string>> = {
    3: 'meta mark',
    [NFT_META.NFT_META_IIFNAME]: 'iifname',
    7: 'oifname',
    [NFT_META.NFT_META_NFPROTO]: 'meta nfproto',
    [NFT_META.NFT_META_L4PROTO]: 'meta l4proto',
  }
  return words[key ?? -1] ?? `meta ${more}`
}

function payloadWords(load: Value<typeof seen.payload>): string {
  const { NFTA_PAYLOAD_BASE: base, NFTA_PAYLOAD_OFFSET: offset, NFTA_PAYLOAD_LEN: length } = load
  const words: Readonly<Record<string, string>> = {
    '1 9 1': 'meta l4proto',
    '1 6 1': 'meta l4proto',
    '2 0 2': 'sport',
    '2 2 2': 'dport',
  }
  const known = words[`${base} ${offset} ${length}`]
  if (known !== undefined) return known
  if (base !== 1 || offset === undefined || length === undefined) return more
  const place = { 12: 'saddr', 16: 'daddr' }[length <= 4 ? offset : -1] ?? { 8: 'saddr', 24: 'daddr' }[offset]
  return place ?? more
}

function compareWords(loaded: string, operator: number, value: Uint8Array): string {
  const signs: Readonly<Record<number, string>> = {
    [NFT_CMP.NFT_CMP_EQ]: '',
    [NFT_CMP.NFT_CMP_NEQ]: '!= ',
    [NFT_SEEN.NFT_CMP_LT]: '< ',
    [NFT_SEEN.NFT_CMP_LTE]: '<= ',
    [NFT_SEEN.NFT_CMP_GT]: '> ',
    [NFT_SEEN.NFT_CMP_GTE]: '>= ',
  }
  const shown = valueWords(loaded, value)
  return `${loaded} ${signs[operator] ?? `${more} `}${shown}`
}

function valueWords(loaded: string, value: Uint8Array): string {
  const [subject = ''] = loaded.split(' & ')
  if (/addr$/.test(subject)) {
    if (value.length === 4 || value.length === 16) return ipFromBytes(value)
    // A prefix of whole bytes is a shorter value.
    const whole = new Uint8Array(value.length < 4 ? 4 : 16)
    whole.set(value)
    return `${ipFromBytes(whole)}/${value.length * 8}`
  }
  if (/port$/.test(subject) && value.length === 2) return portWords(value)
  if (subject === 'meta l4proto') return protocols[value[0] ?? 0] ?? String(value[0])
  if (subject === 'fib daddr type') return value[0] === 2 ? 'local' : more
  if (/ifname$/.test(subject)) return `"${Buffer.from(value).toString('latin1').replace(/\0.*$/s, '')}"`
  return more
}
