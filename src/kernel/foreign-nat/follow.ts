/** A packet's way through the nat chains of others, to the first rule that translates where it goes. */
import type { Place } from '../../netlink/nf/others.ts'
import { NF_INET } from '../../netlink/nf/rules.ts'
import type { NftElement } from '../../netlink/nf/tables.ts'
import type { Destination } from './leads-to.ts'
import { isSame, type Packet, portBytes } from './packet.ts'
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

/** A chain where a packet's way begins. */
export interface Base extends Place {
  /** NF_INET_* */
  readonly hook: number
  /** The kernel asks chains of a hook in the order of these, and the first that translates has the packet. */
  readonly priority: number
}

/** A port that is mapped: rules count as far as they take it from the pod. */
export interface Mapped {
  /** Whoever leads there does what we do. */
  readonly target: Destination
  /** Chains of a higher priority find the packet translated. */
  readonly upTo: number
}

/** What a packet's way led to. */
export interface Found {
  /** The rule that takes the packet, in words; undefined when none does. Of a mapped port: that takes nearly every packet. */
  readonly taken: string | undefined
  /** Of a mapped port: rules that take what some senders send, or what comes by some interface, or some by chance. */
  readonly some: readonly string[]
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
  /** Nearly every packet that comes to the rule takes this way. */
  readonly isForMost: boolean
  /** A set or map that the rule asks has the port. */
  readonly isNamed: boolean
}

/**
 * Follows a packet from each of the chains, as the kernel goes through them. A port that is not mapped yet (`mapped` undefined) is
 * taken by whatever may match; one that is mapped by what takes nearly all of its packets from the pod.
 */
export function follow(source: Source, bases: readonly Base[], packet: Packet, mapped?: Mapped): Found {
  const unread: string[] = []
  const some = new Set<string>()
  // What the kernel asks in prerouting and in output is mostly the same.
  const done = new Map<string, 'returns' | 'ends'>()

  /** Goes through a chain; a text is that of the rule that takes the packet. */
  const through = (
    place: Place,
    path: readonly Stage[],
    isAlways: boolean,
  ): 'returns' | 'ends' | { readonly text: string } => {
    const all = `${place.family} ${place.table} ${place.name}`
    // What only some packets go through takes none of the others, whatever it does.
    const isForMost = mapped === undefined || (isAlways && path.every((stage) => stage.isForMost))
    const name = isForMost ? all : `some ${all}`
    const known = done.get(all) ?? done.get(name)
    if (known !== undefined || path.length > deepest) return known ?? 'returns'
    const unreadBefore = unread.length
    const end = steps(place, path, isAlways)
    // What was passed over on this way may be read on another one.
    if (typeof end === 'string' && unread.length === unreadBefore) done.set(name, end)
    return end
  }
  const steps = (
    place: Place,
    path: readonly Stage[],
    isAlways: boolean,
  ): 'returns' | 'ends' | { readonly text: string } => {
    for (const rule of source.rules(place, packet.family)) {
      const tried = tryRule(rule, packet, source.find)
      const isRead = tried.unread.length === 0
      const ends = new Set<'returns' | 'ends' | undefined>()
      for (const match of tried.matches) {
        const isForMost = isRead && match.isForMost
        const { unread: cannotRead, isNamed } = tried
        const way = [...path, { rule, element: match.element, unread: cannotRead, isForMost, isNamed }]
        const end = goOn(match, place, way, isAlways)
        if (typeof end === 'object') return end
        ends.add((mapped === undefined ? isRead && match.isSure : isForMost) ? end : undefined)
      }
      if (ends.size > 0 && !ends.has(undefined)) return ends.has('returns') ? 'returns' : 'ends'
    }
    return 'returns'
  }
  const goOn = (
    { verdict }: Match,
    place: Place,
    way: readonly Stage[],
    isAlways: boolean,
  ): 'returns' | 'ends' | { readonly text: string } | undefined => {
    switch (verdict.do) {
      case 'translate': {
        if (mapped !== undefined && isTarget(mapped, verdict.destination)) return 'ends'
        const text = words(way, packet, verdict.to)
        if (
          way.every((stage) => stage.unread.length === 0) ||
          way.some(({ rule, isNamed }) => isNamed || names(rule, packet.port))
        ) {
          if (mapped === undefined || (isAlways && way.every((stage) => stage.isForMost))) return { text }
          some.add(text)
          return 'ends'
        }
        unread.push(`${text} (can't read ${[...new Set(way.flatMap((stage) => stage.unread))].join(', ')})`)
        return 'ends'
      }
      case 'jump': {
        const end = through({ ...place, name: verdict.chain }, way, isAlways)
        return end === 'returns' ? undefined : end
      }
      case 'goto':
        return through({ ...place, name: verdict.chain }, way, isAlways)
      case 'return':
        return 'returns'
      default:
        return 'ends'
    }
  }
  for (const base of bases) {
    const part = mapped === undefined ? 'all' : partOf(base, packet, mapped)
    if (part === 'none') continue
    const end = through(base, [], part === 'all')
    if (typeof end === 'object') return { taken: end.text, some: [...some], unread }
  }
  return { taken: undefined, some: [...some], unread }
}

/** Which packets to a mapped port come to a chain: those of programs of the node are few, but nobody else reaches 127.0.0.1. */
function partOf({ hook, priority }: Base, { address }: Packet, { upTo }: Mapped): 'all' | 'some' | 'none' {
  if (priority > upTo) return 'none'
  const isLoopback = address.length === 4 && address[0] === 127
  if (hook === NF_INET.NF_INET_LOCAL_OUT) return isLoopback ? 'all' : 'some'
  return isLoopback ? 'none' : 'all'
}

function isTarget({ target }: Mapped, to: Destination | undefined): boolean {
  return to !== undefined && isSame(to.address, target.address) && isSame(to.port, target.port)
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
