/** Evaluates a foreign rule for a packet, as far as the rule can be read. */

import type { Value } from '../../netlink/codec/wire.ts'
import { NFT_SEEN, seen, VERDICT } from '../../netlink/nf/others.ts'
import { NFT_CMP, NFT_NAT } from '../../netlink/nf/rules.ts'
import type { nftVerdict } from '../../netlink/nf/tables.ts'
import { toWords } from './leads-to.ts'
import { type Load, loadOf, read } from './loads.ts'
import { all, isSame, type Packet, type Partly, portBytes, unknown } from './packet.ts'
import { type Answer, between, equal, not, order, Registers } from './registers.ts'
import type { FindElements, Match, Rule, Tried, Verdict } from './verdict.ts'
import { xtDestination, xtMatch, xtTarget, xtTranslation } from './xt.ts'

/** Expressions that every packet passes, and expressions that depend on unknown facts. */
const passing: ReadonlySet<string> = new Set(['counter', 'log', 'last', 'dup', 'notrack'])
const undecided: ReadonlySet<string> = new Set(['limit', 'quota', 'connlimit', 'dynset', 'objref'])
/** Evaluates a rule for a packet. */
export function tryRule(rule: Rule, packet: Packet, find: FindElements): Tried {
  return new Attempt(rule, packet, find).run()
}

class Attempt {
  readonly #rule: Rule
  readonly #packet: Packet
  readonly #find: FindElements
  readonly #registers = new Registers()
  readonly #loaded = new Map<number, NonNullable<Load['depends']>>()
  readonly #unread: string[] = []
  #isSure = true
  #isForMost = true
  /** True when the answer of the last expression is unknown for few packets only. */
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
        // The bytes have another layout than in the kernels known here: the expression counts as unread.
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

  /** Tests whether the packet passes an expression; undefined for an expression that cannot be read. */
  #step(name: string, data: Uint8Array): Answer | undefined {
    if (passing.has(name)) return 'yes'
    if (undecided.has(name)) return 'maybe'
    switch (name) {
      case 'immediate':
        return this.#immediate(data)
      case 'cmp':
      case 'range':
        return this.#compare(name, data)
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
        return this.#load(loadOf(name, data, this.#packet, this.#registers))
    }
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

  /** Looks up a key in a set or map: as a condition, for a value, or for a verdict. */
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
    // The map has an element for each random value.
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

  /** The answer of "not equal". For an interface nearly all packets differ, because a node has many interfaces. */
  #allBut(register: number, answer: Answer): Answer {
    this.#isNearlySure = this.#loaded.get(register)?.of === 'interface'
    return not(answer)
  }

  #load(load: Load | 'nothing' | undefined): Answer | undefined {
    if (load === undefined) return undefined
    if (load === 'nothing') return 'yes'
    this.#put(load.to, load.value)
    if (load.depends !== undefined) this.#loaded.set(load.to, load.depends)
    return 'yes'
  }

  #put(register: number, value: Partly): void {
    this.#loaded.delete(register)
    this.#registers.store(register, value)
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

  /** A translation. The `last` registers are the ends of ranges; without them the range has one value. */
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

/** Stands for a value that depends on the packet. */
const unseen = new Uint8Array()
