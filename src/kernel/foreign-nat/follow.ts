/** A packet's way through the nat chains of others, to the first rule that translates where it goes. */
import type { Place } from '../../netlink/nf/others.ts'
import type { NftElement } from '../../netlink/nf/tables.ts'
import { type Packet, portBytes } from './packet.ts'
import { type FindElements, type Match, type Rule, tryRule } from './rule.ts'
import { placeWords, ruleWords } from './words.ts'

/** Where rules are read from. */
export interface Source {
  /** Rules of a chain, as far as they may match one of the keys that are asked about. */
  rules(place: Place, family: 4 | 6): readonly Rule[]
  readonly find: FindElements
  /** True when a chain was gone that a rule leads to: the rules have been replaced since the first were read. */
  readonly isOutdated?: () => boolean
}

/** What a packet's way led to. */
export interface Found {
  /** The rule that takes the packet, in words; undefined when none does. */
  readonly taken: string | undefined
  /** Rules that lead to a translation by way of something that can't be read, and do not name the port. */
  readonly unread: readonly string[]
}

/** More jumps than nf_tables allows (NFT_JUMP_STACK_SIZE is 16). */
const deepest = 32

/** One rule on the way, and the element of its map that led on. */
interface Stage {
  readonly rule: Rule
  readonly element: NftElement | undefined
  readonly unread: readonly string[]
  /** A set or map that the rule asks has the port. */
  readonly isNamed: boolean
}

/** Follows a packet from each of the chains, as the kernel goes through them. */
export function follow(source: Source, bases: readonly Place[], packet: Packet): Found {
  const unread: string[] = []
  // What the kernel asks in prerouting and in output is mostly the same.
  const done = new Map<string, 'returns' | 'ends'>()

  /** Goes through a chain; a text is that of the rule that takes the packet. */
  const through = (place: Place, path: readonly Stage[]): 'returns' | 'ends' | { readonly text: string } => {
    const name = `${place.family} ${place.table} ${place.name}`
    const known = done.get(name)
    if (known !== undefined || path.length > deepest) return known ?? 'returns'
    const unreadBefore = unread.length
    const end = steps(place, path)
    // What was passed over on this way may be read on another one.
    if (typeof end === 'string' && unread.length === unreadBefore) done.set(name, end)
    return end
  }
  const steps = (place: Place, path: readonly Stage[]): 'returns' | 'ends' | { readonly text: string } => {
    for (const rule of source.rules(place, packet.family)) {
      const tried = tryRule(rule, packet, source.find)
      const isRead = tried.unread.length === 0
      for (const match of tried.matches) {
        const way = [...path, { rule, element: match.element, unread: tried.unread, isNamed: tried.isNamed }]
        const end = goOn(match, place, way)
        if (typeof end === 'object') return end
        if (end !== undefined && match.isSure && isRead) return end
      }
    }
    return 'returns'
  }
  const goOn = (
    { verdict }: Match,
    place: Place,
    way: readonly Stage[],
  ): 'returns' | 'ends' | { readonly text: string } | undefined => {
    switch (verdict.do) {
      case 'translate': {
        const text = words(way, packet, verdict.to)
        if (
          way.every((stage) => stage.unread.length === 0) ||
          way.some(({ rule, isNamed }) => isNamed || names(rule, packet.port))
        )
          return { text }
        unread.push(`${text} (can't read ${[...new Set(way.flatMap((stage) => stage.unread))].join(', ')})`)
        return 'ends'
      }
      case 'jump': {
        const end = through({ ...place, name: verdict.chain }, way)
        return end === 'returns' ? undefined : end
      }
      case 'goto':
        return through({ ...place, name: verdict.chain }, way)
      case 'return':
        return 'returns'
      default:
        return 'ends'
    }
  }
  for (const base of bases) {
    const end = through(base, [])
    if (typeof end === 'object') return { taken: end.text, unread }
  }
  return { taken: undefined, unread }
}

/** The rule on the way that says the most of the port, and where the way ends. */
function words(way: readonly Stage[], packet: Packet, to: string): string {
  const last = way[way.length - 1]
  const telling =
    way.find(({ rule, element }) => names(rule, packet.port) || namesIn(element, packet.port)) ??
    // Its key is a range.
    way.find(({ element }) => element !== undefined) ??
    last
  if (telling === undefined) return to
  const text = `${placeWords(telling.rule)}: ${ruleWords(telling.rule, telling.element, telling === last ? to : undefined)}`
  return telling === last ? text : `${text}, which ends in ${to}`
}

/** True when a value that the rule compares with, or what a match of x_tables is made of, has the port in its bytes. */
function names({ expressions }: Rule, port: number): boolean {
  const [high = 0, low = 0] = portBytes(port)
  return expressions.some(({ NFTA_EXPR_NAME: name = '', NFTA_EXPR_DATA: data }) => {
    if (data === undefined || silent.has(name)) return false
    const isComment = name === 'match' && Buffer.from(data).includes('comment\0')
    return !isComment && (has(data, high, low) || (name === 'match' && has(data, low, high)))
  })
}

/** Expressions without a value of a packet. */
const silent: ReadonlySet<string> = new Set([
  'meta',
  'payload',
  'counter',
  'lookup',
  'fib',
  'ct',
  'nat',
  'immediate',
  'target',
])

function namesIn(element: NftElement | undefined, port: number): boolean {
  const key = element?.NFTA_SET_ELEM_KEY?.NFTA_DATA_VALUE
  const [high = 0, low = 0] = portBytes(port)
  return key !== undefined && has(key, high, low)
}

function has(bytes: Uint8Array, first: number, second: number): boolean {
  return bytes.some((byte, at) => byte === first && bytes[at + 1] === second)
}
