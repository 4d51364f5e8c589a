/** Follows a packet through foreign nat chains to the first rule that translates its destination. */
import type { Place } from '../../netlink/nf/others.ts'
import { NF_INET } from '../../netlink/nf/rules.ts'
import type { NftElement } from '../../netlink/nf/tables.ts'
import type { Destination } from './leads-to.ts'
import { isSame, type Packet, portBytes } from './packet.ts'
import { tryRule } from './rule.ts'
import type { FindElements, Match, Rule } from './verdict.ts'
import { placeWords, ruleWords } from './words.ts'

/** Reads the rules and sets of foreign chains. */
export interface Source {
  /** The rules of a chain that may match one of the wanted keys. */
  rules(place: Place, family: 4 | 6): readonly Rule[]
  readonly find: FindElements
  /** True when a rule leads to a chain that is gone: another program has replaced the rules during the read. */
  readonly isOutdated?: () => boolean
}

/** A chain on a hook, where a packet begins. */
export interface Base extends Place {
  /** NF_INET_* */
  readonly hook: number
  /** Order of the chains on a hook, lowest first. The first chain that translates a packet decides. */
  readonly priority: number
}

/** A host port that is mapped. A rule counts if it takes the port from the pod. */
export interface Mapped {
  /** The pod's address and port. A rule that leads there takes nothing from the pod. */
  readonly target: Destination
  /** Chains above this priority see packets that are translated already. */
  readonly upTo: number
}

/** The result for one packet. */
export interface Found {
  /** The rule that takes the packet, as text; undefined when none does. For a mapped port: the rule takes nearly every packet. */
  readonly taken: string | undefined
  /** For a mapped port: rules that take only packets of some senders, of some interface, or by chance. */
  readonly some: readonly string[]
  /** Rules that lead to a translation behind an unreadable expression, and do not name the port. */
  readonly unread: readonly string[]
}

/** Limit of jumps, above that of nf_tables (NFT_JUMP_STACK_SIZE is 16). */
const deepest = 32

/** One rule on the path, and the element of its map that the packet has matched. */
interface Stage {
  readonly rule: Rule
  readonly element: NftElement | undefined
  readonly unread: readonly string[]
  /** True when nearly every packet that reaches the rule takes this path. */
  readonly isForMost: boolean
  /** True when a set or map of the rule has the port. */
  readonly isNamed: boolean
}

/**
 * Follows a packet from each of the chains in the kernel's order. For a port that is not mapped yet (`mapped` undefined), every
 * rule that may match counts as taking it. For a mapped port, only a rule that takes nearly all packets from the pod counts.
 */
export function follow(source: Source, bases: readonly Base[], packet: Packet, mapped?: Mapped): Found {
  const unread: string[] = []
  const some = new Set<string>()
  // Results per chain: prerouting and output mostly lead to the same chains.
  const done = new Map<string, 'returns' | 'ends'>()

  /** Follows the packet through a chain. Returns how the chain ends, or the text of the rule that takes the packet. */
  const through = (
    place: Place,
    path: readonly Stage[],
    isAlways: boolean,
  ): 'returns' | 'ends' | { readonly text: string } => {
    const all = `${place.family} ${place.table} ${place.name}`
    // A chain that only some packets reach cannot take the other packets.
    const isForMost = mapped === undefined || (isAlways && path.every((stage) => stage.isForMost))
    const name = isForMost ? all : `some ${all}`
    const known = done.get(all) ?? done.get(name)
    if (known !== undefined || path.length > deepest) return known ?? 'returns'
    const unreadBefore = unread.length
    const end = steps(place, path, isAlways)
    // A chain with unread rules is followed again, because the result depends on the path.
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

/**
 * The packets to a mapped port that reach a chain. Packets of the node's own programs are few, so `output` sees some. 127.0.0.1 is
 * reached by the node's own programs alone, so `output` sees all.
 */
function partOf({ hook, priority }: Base, { address }: Packet, { upTo }: Mapped): 'all' | 'some' | 'none' {
  if (priority > upTo) return 'none'
  const isLoopback = address.length === 4 && address[0] === 127
  if (hook === NF_INET.NF_INET_LOCAL_OUT) return isLoopback ? 'all' : 'some'
  return isLoopback ? 'none' : 'all'
}

function isTarget({ target }: Mapped, to: Destination | undefined): boolean {
  return to !== undefined && isSame(to.address, target.address) && isSame(to.port, target.port)
}

/** The text of the most telling rule on the path, and the end of the path. A rule that names the port tells most. */
function words(way: readonly Stage[], packet: Packet, to: string): string {
  const last = way[way.length - 1]
  const telling =
    way.find(({ rule, element }) => names(rule, packet.port) || namesIn(element, packet.port)) ??
    // No key has the bytes of the port, so the key is a range.
    way.find(({ element }) => element !== undefined) ??
    last
  if (telling === undefined) return to
  const text = `${placeWords(telling.rule)}: ${ruleWords(telling.rule, telling.element, telling === last ? to : undefined)}`
  return telling === last ? text : `${text}, which ends in ${to}`
}

/** True when a compared value of the rule, or the data of a match of x_tables, contains the bytes of the port. */
function names({ expressions }: Rule, port: number): boolean {
  const [high = 0, low = 0] = portBytes(port)
  return expressions.some(({ NFTA_EXPR_NAME: name = '', NFTA_EXPR_DATA: data }) => {
    if (data === undefined || silent.has(name)) return false
    const isComment = name === 'match' && Buffer.from(data).includes('comment\0')
    return !isComment && (has(data, high, low) || (name === 'match' && has(data, low, high)))
  })
}

/** Expressions that hold no value of a packet. */
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
