/** A rule of somebody else, and what it does with a packet as far as that can be told. */

import { eachAttribute } from '../../netlink/codec/tlv.ts'
import { be32, type Value } from '../../netlink/codec/wire.ts'
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import { NFT_SEEN, type Place, type SeenExpression, seen, VERDICT } from '../../netlink/nf/others.ts'
import { NFT_CMP, NFT_META, NFT_NAT } from '../../netlink/nf/rules.ts'
import type { NftElement, nftVerdict } from '../../netlink/nf/tables.ts'
import { type Destination, toWords } from './leads-to.ts'
import { all, isSame, type Packet, type Partly, part, portBytes, unknown } from './packet.ts'
import {
  type Answer,
  between,
  equal,
  hostNumber,
  masked,
  not,
  order,
  Registers,
  swapped,
} from './registers.ts'

import { xtDestination, xtMatch, xtTarget, xtTranslation } from './xt.ts'

/** A rule, and the chain that it stands in. */
export interface Rule {
  readonly place: Place
  readonly expressions: readonly SeenExpression[]
  readonly comment: string | undefined
  /** What people call a chain; by itself where its name is that. */
  readonly nameOf?: (chain: string) => string
}

/** How a rule ends. */
export type Verdict =
  | {
      readonly do: 'translate'
      readonly to: string
      /** Undefined where it is not one address that the rule gives. */
      readonly destination: Destination | undefined
    }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }
  | { readonly do: 'end' | 'return' }

/** One way in which a rule may end for a packet. */
export interface Match {
  readonly verdict: Verdict
  /** The packet takes this way whoever sent it. */
  readonly isSure: boolean
  /** Nearly all senders' packets take this way, or one that chance picks of ways that are all given. */
  readonly isForMost: boolean
  /** The element of a map that says so. */
  readonly element: NftElement | undefined
}

/** What a rule does with a packet. */
export interface Tried {
  /** None where the rule does not match, or goes on. */
  readonly matches: readonly Match[]
  /** Expressions that nobody here can read: the rule may match. */
  readonly unread: readonly string[]
  /** A set or map has the packet's port in the key that the rule asks for. */
  readonly isNamed: boolean
}

/** A look into a set or map: the elements that a key may have, and whether it has one. */
export type FindElements = (
  place: Place,
  key: (length: number) => Partly,
) => { readonly answer: Answer; readonly elements: readonly NftElement[] }

/** Expressions that let every packet go on, and ones of which only the packet tells. */
const passing: ReadonlySet<string> = new Set(['counter', 'log', 'last', 'dup', 'notrack'])
const undecided: ReadonlySet<string> = new Set(['limit', 'quota', 'connlimit', 'dynset', 'objref'])
/** What these load is unknown; the number of their attribute that names the register (NFTA_CT_DREG, NFTA_SOCKET_DREG ...). */
const loading: Readonly<Record<string, number>> = {
  ...{ ct: 1, rt: 1, osf: 1, exthdr: 1, numgen: 1, xfrm: 1 },
  ...{ socket: 2, hash: 2, tunnel: 2 },
}

/** Of those that chance decides, the number of the attribute that says how many outcomes there are (NFTA_NG_MODULUS, NFTA_HASH_MODULUS). */
const chances: Readonly<Record<string, number | undefined>> = { numgen: 2, hash: 4 }

/** What is in a register that nobody can know before there is a packet. */
type Loaded = { readonly of: 'interface' } | { readonly of: 'chance'; readonly outcomes: number }

/** Follows a rule with a packet. */
export function tryRule(rule: Rule, packet: Packet, find: FindElements): Tried {
  return new Attempt(rule, packet, find).run()
}

class Attempt {
  readonly #rule: Rule
  readonly #packet: Packet
  readonly #find: FindElements
  readonly #registers = new Registers()
  readonly #loaded = new Map<number, Loaded>()
  readonly #unread: string[] = []
  #isSure = true
  #isForMost = true
  /** What the last expression does not know concerns few packets. */
  #isNearlySure = false
  #isNamed = false
  #matches: Match[] | undefined

  constructor(rule: Rule, packet: Packet, find: FindElements) {
    this.#rule = rule
    this.#packet = packet
    this.#find = find
  }

  run(): Tried {
    for (const { NFTA_EXPR_NAME: name = '', NFTA_EXPR_DATA: data = new Uint8Array() } of this.#rule
      .expressions) {
      let answer: Answer | undefined
      this.#isNearlySure = false
      try {
        answer = this.#step(name, data)
      } catch (error) {
        // Bytes that are not laid out as in the kernels that this was written by.
        if (!(error instanceof RangeError)) throw error
      }
      if (answer === 'no') return { matches: [], unread: [], isNamed: false }
      if (answer === undefined) this.#unread.push(name)
      if (answer !== 'yes') this.#isSure = false
      if (answer !== 'yes' && !this.#isNearlySure) this.#isForMost = false
      if (this.#matches !== undefined) break
    }
    return { matches: this.#matches ?? [], unread: this.#unread, isNamed: this.#isNamed }
  }

  /** Whether the packet gets beyond an expression; undefined for one that can't be read. */
  #step(name: string, data: Uint8Array): Answer | undefined {
    if (passing.has(name)) return 'yes'
    if (undecided.has(name)) return 'maybe'
    switch (name) {
      case 'meta':
        return this.#meta(data)
      case 'payload':
        return this.#payload(data)
      case 'fib':
        return this.#fib(data)
      case 'immediate':
        return this.#immediate(data)
      case 'cmp':
      case 'range':
        return this.#compare(name, data)
      case 'bitwise':
      case 'byteorder':
        return this.#compute(name, data)
      case 'lookup':
        return this.#lookup(data)
      case 'match': {
        const {
          NFTA_MATCH_NAME: kind = '',
          NFTA_MATCH_REV: revision = 0,
          NFTA_MATCH_INFO: info,
        } = read(seen.match, data)
        return info === undefined ? undefined : xtMatch(kind, revision, info, this.#packet)
      }
      case 'nat': {
        const {
          NFTA_NAT_TYPE: type,
          NFTA_NAT_REG_ADDR_MIN: address,
          NFTA_NAT_REG_ADDR_MAX: lastAddress,
          NFTA_NAT_REG_PROTO_MIN: port,
          NFTA_NAT_REG_PROTO_MAX: lastPort,
        } = read(seen.nat, data)
        const isTranslated = type === NFT_NAT.NFT_NAT_DNAT
        return this.#end(
          isTranslated ? this.#translation([address, lastAddress], [port, lastPort]) : { do: 'end' },
        )
      }
      case 'redir':
        return this.#end(this.#translation([], [read(seen.redir, data).NFTA_REDIR_REG_PROTO_MIN]))
      case 'masq':
        return this.#end({ do: 'end' })
      case 'target':
        return this.#target(data)
      default:
        return this.#load(data, Object.hasOwn(loading, name) ? loading[name] : undefined, chances[name])
    }
  }

  #meta(data: Uint8Array): Answer {
    const { NFTA_META_DREG: to, NFTA_META_KEY: key } = read(seen.meta, data)
    const { family, proto } = this.#packet
    const nfproto = family === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6
    const known = new Map([
      [NFT_META.NFT_META_L4PROTO, all(Uint8Array.of(proto))],
      [NFT_META.NFT_META_NFPROTO, all(Uint8Array.of(nfproto))],
      [NFT_SEEN.NFT_META_PROTOCOL, all(family === 4 ? Uint8Array.of(0x08, 0) : Uint8Array.of(0x86, 0xdd))],
    ] as [number, Partly][])
    // Names of interfaces have 16 bytes.
    if (to === undefined) return 'yes'
    this.#put(to, known.get(key ?? -1) ?? unknown(16))
    if (key === NFT_META.NFT_META_IIFNAME || key === NFT_SEEN.NFT_META_IIF)
      this.#loaded.set(to, { of: 'interface' })
    return 'yes'
  }

  #payload(data: Uint8Array): Answer {
    const { NFTA_PAYLOAD_DREG: to, NFTA_PAYLOAD_BASE: base, ...at } = read(seen.payload, data)
    // Without a register to load it writes to the packet.
    if (to === undefined) return 'yes'
    const length = at.NFTA_PAYLOAD_LEN ?? 0
    const header = this.#packet.headers[(base ?? 0) - 1]
    this.#put(to, header === undefined ? unknown(length) : part(header, at.NFTA_PAYLOAD_OFFSET ?? 0, length))
    return 'yes'
  }

  /** The packet's destination is an address of the node, or nobody would have mapped it. */
  #fib(data: Uint8Array): Answer {
    const { NFTA_FIB_DREG: to, NFTA_FIB_RESULT: result, NFTA_FIB_FLAGS: flags = 0 } = read(seen.fib, data)
    const isLocal =
      result === NFT_SEEN.NFT_FIB_RESULT_ADDRTYPE &&
      (flags & NFT_SEEN.NFTA_FIB_F_DADDR) !== 0 &&
      (flags & NFT_SEEN.NFTA_FIB_F_SADDR) === 0
    if (to !== undefined) this.#put(to, isLocal ? hostNumber(RTN_LOCAL) : unknown(16))
    return 'yes'
  }

  #immediate(data: Uint8Array): Answer | undefined {
    const { NFTA_IMMEDIATE_DREG: to, NFTA_IMMEDIATE_DATA: given } = read(seen.immediate, data)
    if (given?.NFTA_DATA_VERDICT !== undefined) return this.#verdict(given.NFTA_DATA_VERDICT)
    if (to === undefined || given?.NFTA_DATA_VALUE === undefined) return undefined
    this.#put(to, all(given.NFTA_DATA_VALUE))
    return 'yes'
  }

  #compare(name: 'cmp' | 'range', data: Uint8Array): Answer | undefined {
    if (name === 'range') {
      const { NFTA_RANGE_SREG: from, NFTA_RANGE_OP: operator, ...range } = read(seen.range, data)
      const first = range.NFTA_RANGE_FROM_DATA?.NFTA_DATA_VALUE
      const last = range.NFTA_RANGE_TO_DATA?.NFTA_DATA_VALUE
      if (from === undefined || first === undefined || last === undefined) return undefined
      const answer = between(this.#registers.load(from, first.length), first, last)
      return operator === NFT_CMP.NFT_CMP_NEQ ? not(answer) : answer
    }
    const { NFTA_CMP_SREG: from, NFTA_CMP_OP: operator, NFTA_CMP_DATA: given } = read(seen.cmp, data)
    const value = given?.NFTA_DATA_VALUE
    if (from === undefined || value === undefined) return undefined
    const loaded = this.#registers.load(from, value.length)
    if (operator === NFT_CMP.NFT_CMP_EQ) return equal(loaded, value)
    if (operator === NFT_CMP.NFT_CMP_NEQ) return this.#allBut(from, equal(loaded, value))
    const found = order(loaded, value)
    if (found === undefined) return 'maybe'
    const holds = {
      [NFT_SEEN.NFT_CMP_LT]: found < 0,
      [NFT_SEEN.NFT_CMP_LTE]: found <= 0,
      [NFT_SEEN.NFT_CMP_GT]: found > 0,
      [NFT_SEEN.NFT_CMP_GTE]: found >= 0,
    }[operator ?? -1]
    return holds === undefined ? undefined : holds ? 'yes' : 'no'
  }

  #compute(name: 'bitwise' | 'byteorder', data: Uint8Array): Answer {
    if (name === 'byteorder') {
      const {
        NFTA_BYTEORDER_SREG: from = 1,
        NFTA_BYTEORDER_DREG: to = 1,
        ...how
      } = read(seen.byteorder, data)
      const loaded = this.#registers.load(from, how.NFTA_BYTEORDER_LEN ?? 0)
      this.#put(to, swapped(loaded, how.NFTA_BYTEORDER_SIZE ?? 1))
      return 'yes'
    }
    const { NFTA_BITWISE_SREG: from = 1, NFTA_BITWISE_DREG: to = 1, ...how } = read(seen.bitwise, data)
    const length = how.NFTA_BITWISE_LEN ?? 0
    const mask = how.NFTA_BITWISE_MASK?.NFTA_DATA_VALUE
    const xor = how.NFTA_BITWISE_XOR?.NFTA_DATA_VALUE
    const isMask = (how.NFTA_BITWISE_OP ?? 0) === 0 && mask !== undefined && xor !== undefined
    this.#put(to, isMask ? masked(this.#registers.load(from, length), mask, xor) : unknown(length))
    return 'yes'
  }

  /** A condition, a value by a key, or a verdict by a key. */
  #lookup(data: Uint8Array): Answer | undefined {
    const {
      NFTA_LOOKUP_SET: name,
      NFTA_LOOKUP_SREG: from,
      NFTA_LOOKUP_DREG: to,
      NFTA_LOOKUP_FLAGS: flags = 0,
    } = read(seen.lookup, data)
    if (name === undefined || from === undefined) return undefined
    let key = unknown(0)
    const { answer, elements } = this.#find({ ...this.#rule.place, name }, (length) => {
      key = this.#registers.load(from, length)
      return key
    })
    const isPort = (at: number) => key.known[at] === 1 && key.bytes[at] === this.#packet.port >> 8
    if (key.bytes.some((_, at) => isPort(at) && key.bytes[at + 1] === (this.#packet.port & 0xff)))
      this.#isNamed = true
    if (to === undefined)
      return (flags & NFT_SEEN.NFT_LOOKUP_F_INV) === 0 ? answer : this.#allBut(from, answer)
    if (answer === 'no') return answer
    const picked = this.#loaded.get(from)
    // Whatever chance says, the map has an element for it.
    this.#isNearlySure =
      picked?.of === 'chance' && key.bytes.length === 4 && elements.length === picked.outcomes
    if (to !== 0) {
      const [only] = elements
      const value = only?.NFTA_SET_ELEM_DATA?.NFTA_DATA_VALUE
      this.#put(to, value !== undefined && elements.length === 1 ? all(value) : unknown(16))
      return answer
    }
    const isOne = answer === 'yes' && elements.length === 1
    const isSure = this.#isSure && isOne
    const isForMost = this.#isForMost && (isOne || this.#isNearlySure)
    for (const element of elements) {
      const verdict = element.NFTA_SET_ELEM_DATA?.NFTA_DATA_VERDICT
      if (verdict !== undefined) this.#verdict(verdict, { isSure, isForMost, element })
    }
    return answer
  }

  /** All packets but those that have a value: of interfaces a node has many. */
  #allBut(register: number, answer: Answer): Answer {
    this.#isNearlySure = this.#loaded.get(register)?.of === 'interface'
    return not(answer)
  }

  #put(register: number, value: Partly): void {
    this.#loaded.delete(register)
    this.#registers.store(register, value)
  }

  #load(data: Uint8Array, attribute: number | undefined, modulus: number | undefined): Answer | undefined {
    if (attribute === undefined) return undefined
    let [to, outcomes]: (number | undefined)[] = []
    eachAttribute('NFTA_EXPR_DATA', data, 0, data.length, (type, _flags, start, stop) => {
      if (type === attribute) to = be32.read(data, start, stop)
      if (type === modulus) outcomes = be32.read(data, start, stop)
    })
    if (to === undefined) return 'yes'
    this.#put(to, unknown(16))
    if (outcomes !== undefined) this.#loaded.set(to, { of: 'chance', outcomes })
    return 'yes'
  }

  #target(data: Uint8Array): Answer | undefined {
    const {
      NFTA_TARGET_NAME: name = '',
      NFTA_TARGET_REV: revision = 0,
      NFTA_TARGET_INFO: info,
    } = read(seen.target, data)
    const effect = xtTarget(name)
    if (effect === 'goes on') return 'yes'
    if (effect === 'ends') return this.#end({ do: 'end' })
    this.#end({
      do: 'translate',
      to: xtTranslation(name, revision, info ?? new Uint8Array(), this.#packet.family),
      destination: xtDestination(name, revision, info ?? new Uint8Array(), this.#packet),
    })
    return effect === undefined ? undefined : 'yes'
  }

  /** `last` registers: ends of ranges, by themselves the same as the first. */
  #translation(
    [address, lastAddress = address]: readonly (number | undefined)[],
    [port, lastPort = port]: readonly (number | undefined)[],
  ): Verdict {
    const load = (register: number, length: number) => {
      const { bytes, known } = this.#registers.load(register, length)
      return known.includes(0) ? undefined : bytes
    }
    const size = this.#packet.address.length
    const given = (register: number | undefined, length: number) =>
      register === undefined ? undefined : (load(register, length) ?? unseen)
    const [to, at] = [given(address, size), given(port, 2)]
    const isOne = isSame(to, given(lastAddress, size)) && isSame(at, given(lastPort, 2))
    return {
      do: 'translate',
      to: toWords(to, at),
      destination:
        isOne && to !== undefined && to !== unseen && at !== unseen
          ? { address: to, port: at ?? portBytes(this.#packet.port) }
          : undefined,
    }
  }

  #verdict(given: Value<typeof nftVerdict>, how: Omit<Match, 'verdict'> = this.#how()): Answer {
    const chain = given.NFTA_VERDICT_CHAIN ?? ''
    switch ((given.NFTA_VERDICT_CODE ?? 0) | 0) {
      case VERDICT.NFT_CONTINUE:
      case VERDICT.NFT_BREAK:
        return 'yes'
      case VERDICT.NFT_JUMP:
        return this.#end({ do: 'jump', chain }, how)
      case VERDICT.NFT_GOTO:
        return this.#end({ do: 'goto', chain }, how)
      case VERDICT.NFT_RETURN:
        return this.#end({ do: 'return' }, how)
      default:
        return this.#end({ do: 'end' }, how)
    }
  }

  #how(): Omit<Match, 'verdict'> {
    return { isSure: this.#isSure, isForMost: this.#isForMost, element: undefined }
  }

  #end(verdict: Verdict, how: Omit<Match, 'verdict'> = this.#how()): Answer {
    this.#matches = [...(this.#matches ?? []), { verdict, ...how }]
    return 'yes'
  }
}

/** A value that only the packet gives. */
const unseen = new Uint8Array()

/** RTN_LOCAL, linux/rtnetlink.h. */
const RTN_LOCAL = 2

function read<T>(codec: { decode(bytes: Uint8Array): T }, data: Uint8Array): T {
  return codec.decode(data)
}
