// Evaluates rules of nf_tables for a packet, expression by expression. test/native follows rules that nft has made.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { packetTo } from '../../../src/kernel/foreign-nat/packet.ts'
import { tryRule } from '../../../src/kernel/foreign-nat/rule.ts'
import type { FindElements } from '../../../src/kernel/foreign-nat/verdict.ts'
import { ruleWords } from '../../../src/kernel/foreign-nat/words.ts'
import { type SeenExpression, seen } from '../../../src/netlink/nf/others.ts'
import type { NftElement } from '../../../src/netlink/nf/tables.ts'

const packet = packetTo({ proto: 'tcp', address: '10.1.0.1', port: 8080 })
const nothing: FindElements = () => ({ answer: 'no', elements: [] })

type Data = Record<string, unknown>
const step = (name: keyof typeof seen, data: Data): SeenExpression => ({
  NFTA_EXPR_NAME: name,
  NFTA_EXPR_DATA: (seen[name] as { encode(value: Data): Uint8Array }).encode(data),
})
const bytes = (...value: number[]) => ({ NFTA_DATA_VALUE: Uint8Array.from(value) })
const load = (base: number, offset: number, length: number, register = 1) =>
  step('payload', {
    ...{ NFTA_PAYLOAD_DREG: register, NFTA_PAYLOAD_BASE: base },
    ...{ NFTA_PAYLOAD_OFFSET: offset, NFTA_PAYLOAD_LEN: length },
  })
const meta = (key: number) => step('meta', { NFTA_META_DREG: 1, NFTA_META_KEY: key })
const compare = (operator: number, ...value: number[]) =>
  step('cmp', { NFTA_CMP_SREG: 1, NFTA_CMP_OP: operator, NFTA_CMP_DATA: bytes(...value) })
const redirect: SeenExpression = { NFTA_EXPR_NAME: 'redir', NFTA_EXPR_DATA: new Uint8Array() }
const other = (name: string): SeenExpression => ({ NFTA_EXPR_NAME: name, NFTA_EXPR_DATA: new Uint8Array() })

/** Tells whether the rule translates the packet: no, maybe, yes. */
function answerTo(expressions: readonly SeenExpression[], find = nothing): string {
  const place = { family: 2, table: 't', name: 'c' }
  const { matches, unread } = tryRule({ place, expressions, comment: undefined }, packet, find)
  const [match] = matches
  if (match === undefined) return 'no'
  return unread.length > 0 ? `maybe (${unread})` : match.isSure ? 'yes' : 'maybe'
}

const [eq, neq, lt, gte] = [0, 1, 2, 5]
const [high, low] = [8080 >> 8, 8080 & 0xff]
const port = load(2, 2, 2)
const mask = (value: number[], from = 1) =>
  step('bitwise', {
    ...{ NFTA_BITWISE_SREG: from, NFTA_BITWISE_DREG: 1, NFTA_BITWISE_LEN: value.length },
    ...{ NFTA_BITWISE_MASK: bytes(...value), NFTA_BITWISE_XOR: bytes(...value.map(() => 0)) },
  })

describe('conditions', () => {
  test.each<readonly [string, readonly SeenExpression[], string]>([
    ['the port', [port, compare(eq, high, low)], 'yes'],
    ['another port', [port, compare(eq, 0, 80)], 'no'],
    ['all but the port', [port, compare(neq, high, low)], 'no'],
    ['ports below', [port, compare(lt, 0x20, 0)], 'yes'],
    ['ports from', [port, compare(gte, 0x20, 0)], 'no'],
    ['both ports at once', [load(2, 0, 4), compare(eq, 1, 2, high, low)], 'maybe'],
    ['both ports at once, of another', [load(2, 0, 4), compare(eq, 1, 2, 0, 80)], 'no'],
    ['the address', [load(1, 16, 4), compare(eq, 10, 1, 0, 1)], 'yes'],
    ['whole bytes of its network', [load(1, 16, 1), compare(eq, 10)], 'yes'],
    ['its network', [load(1, 16, 4), mask([255, 255, 255, 0]), compare(eq, 10, 1, 0, 0)], 'yes'],
    ['another network', [load(1, 16, 4), mask([255, 255, 255, 0]), compare(eq, 10, 2, 0, 0)], 'no'],
    ['the source', [load(1, 12, 4), compare(eq, 10, 0, 0, 1)], 'maybe'],
    ['nothing of the source', [load(1, 12, 4), mask([0, 0, 0, 0]), compare(eq, 0, 0, 0, 0)], 'yes'],
    ['the protocol', [meta(16), compare(eq, 6)], 'yes'],
    ['another protocol', [meta(16), compare(eq, 17)], 'no'],
    ['the protocol in the header', [load(1, 9, 1), compare(eq, 6)], 'yes'],
    ['the family', [meta(15), compare(eq, 2)], 'yes'],
    ['the other family', [meta(15), compare(eq, 10)], 'no'],
    ['an interface', [meta(6), compare(eq, ...Buffer.from('eth0\0'))], 'maybe'],
    ['all but an interface', [meta(6), compare(neq, ...Buffer.from('eth0\0'))], 'maybe'],
    ['a counter', [other('counter')], 'yes'],
    ['a limit', [other('limit')], 'maybe'],
    ['something new', [other('novelty')], 'maybe (novelty)'],
    [
      'something that is cut off',
      [{ NFTA_EXPR_NAME: 'cmp', NFTA_EXPR_DATA: Uint8Array.of(9, 0, 1) }],
      'maybe (cmp)',
    ],
  ])('%s', (_, expressions, answer) => {
    expect(answerTo([...expressions, redirect])).toBe(answer)
  })

  test('a range and a value in host order are compared', () => {
    const range = (operator: number, from: number[], to: number[]) =>
      step('range', {
        ...{ NFTA_RANGE_SREG: 1, NFTA_RANGE_OP: operator },
        ...{ NFTA_RANGE_FROM_DATA: bytes(...from), NFTA_RANGE_TO_DATA: bytes(...to) },
      })
    const turn = step('byteorder', {
      ...{ NFTA_BYTEORDER_SREG: 1, NFTA_BYTEORDER_DREG: 1, NFTA_BYTEORDER_OP: 0 },
      ...{ NFTA_BYTEORDER_LEN: 2, NFTA_BYTEORDER_SIZE: 2 },
    })
    expect(answerTo([port, range(0, [0x1f, 0], [0x20, 0]), redirect])).toBe('yes')
    expect(answerTo([port, range(0, [0x20, 0], [0x21, 0]), redirect])).toBe('no')
    expect(answerTo([port, range(1, [0x1f, 0], [0x20, 0]), redirect])).toBe('no')
    expect(answerTo([load(1, 12, 4), range(0, [0, 0, 0, 0], [1, 0, 0, 0]), redirect])).toBe('maybe')
    expect(answerTo([port, turn, compare(eq, low, high), redirect])).toBe('yes')
  })

  test('fib finds the destination to be an address of the node, and knows nothing of the source', () => {
    const fib = (flags: number, result = 3) =>
      step('fib', { NFTA_FIB_DREG: 1, NFTA_FIB_RESULT: result, NFTA_FIB_FLAGS: flags })
    const local = compare(eq, ...new Uint8Array(Uint32Array.of(2).buffer))
    expect(answerTo([fib(2), local, redirect])).toBe('yes')
    expect(answerTo([fib(2), compare(eq, ...new Uint8Array(Uint32Array.of(1).buffer)), redirect])).toBe('no')
    expect(answerTo([fib(1), local, redirect])).toBe('maybe')
    expect(answerTo([fib(2, 1), local, redirect])).toBe('maybe')
  })
})

describe('sets and maps', () => {
  const lookup = (to?: number, flags = 0) =>
    step('lookup', {
      ...{ NFTA_LOOKUP_SET: 's', NFTA_LOOKUP_SREG: 1, NFTA_LOOKUP_FLAGS: flags },
      ...(to === undefined ? {} : { NFTA_LOOKUP_DREG: to }),
    })
  const found =
    (answer: 'no' | 'maybe' | 'yes', ...elements: NftElement[]): FindElements =>
    () => ({ answer, elements })

  test('a set answers yes, no or maybe, and an inverted set the opposite', () => {
    for (const [answer, inverse] of [
      ['yes', 'no'],
      ['no', 'yes'],
      ['maybe', 'maybe'],
    ] as const) {
      expect(answerTo([port, lookup(), redirect], found(answer))).toBe(answer)
      expect(answerTo([port, lookup(undefined, 1), redirect], found(answer))).toBe(inverse)
    }
  })

  test('the key of a set has the known bytes of each part', () => {
    const keys: string[] = []
    const find: FindElements = (place, key) => {
      const { bytes: value, known } = key(12)
      keys.push(`${place.name} ${Buffer.from(value).toString('hex')} ${known.join('')}`)
      return { answer: 'yes', elements: [] }
    }
    answerTo(
      [
        load(1, 16, 4),
        step('meta', { NFTA_META_DREG: 9, NFTA_META_KEY: 16 }),
        load(2, 2, 2, 10),
        lookup(),
        redirect,
      ],
      find,
    )
    answerTo([load(1, 12, 4), load(2, 2, 2, 9), lookup(), redirect], find)
    expect(keys).toEqual([
      's 0a010001060000001f900000 111111111111',
      's 000000001f90000000000000 000011110000',
    ])
  })

  test('a set whose key has the port names the port', () => {
    const place = { family: 2, table: 't', name: 'c' }
    const named = (find: FindElements, ...expressions: SeenExpression[]) =>
      tryRule({ place, expressions: [...expressions, lookup(), redirect], comment: undefined }, packet, find)
        .isNamed
    const asked: FindElements = (_, key) => ({
      answer: key(4).bytes.length === 4 ? 'yes' : 'no',
      elements: [],
    })
    expect(named(asked, port)).toBe(true)
    expect(named(asked, load(1, 16, 4))).toBe(false)
    expect(named(found('yes'), port)).toBe(false)
  })

  test('each possible verdict of a map is a match', () => {
    const jump = (chain: string): NftElement => ({
      NFTA_SET_ELEM_DATA: { NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: -3 >>> 0, NFTA_VERDICT_CHAIN: chain } },
    })
    const place = { family: 2, table: 't', name: 'c' }
    const rule = { place, expressions: [port, lookup(0)], comment: undefined }
    expect(tryRule(rule, packet, found('maybe', jump('a'), jump('b'))).matches).toMatchObject([
      { verdict: { do: 'jump', chain: 'a' }, isSure: false },
      { verdict: { do: 'jump', chain: 'b' }, isSure: false },
    ])
    expect(tryRule(rule, packet, found('yes', jump('a'))).matches).toMatchObject([{ isSure: true }])
    expect(tryRule(rule, packet, found('no')).matches).toEqual([])
  })
})

test('a rule of any bytes is evaluated to its end and printed', () => {
  const place = { family: 2, table: 't', name: 'c' }
  const expression = fc.record({
    NFTA_EXPR_NAME: fc.constantFrom(...Object.keys(seen), 'ct', 'socket', 'counter', 'novelty'),
    NFTA_EXPR_DATA: fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      // Attributes with valid lengths.
      fc
        .array(fc.tuple(fc.nat(7), fc.uint8Array({ minLength: 4, maxLength: 4 })), { maxLength: 6 })
        .map((list) => Uint8Array.from(list.flatMap(([type, value]) => [8, 0, type, 0, ...value]))),
    ),
  })
  const property = fc.property(fc.array(expression, { maxLength: 6 }), (expressions) => {
    const rule = { place, expressions, comment: undefined }
    expect(tryRule(rule, packet, nothing).matches.length).toBeLessThan(2)
    expect(typeof ruleWords(rule, undefined, undefined)).toBe('string')
  })
  fc.assert(property, { numRuns: 2_000 })
})

test('the destination of a translation has the parts that the rule gives', () => {
  const immediate = (register: number, ...value: number[]) =>
    step('immediate', { NFTA_IMMEDIATE_DREG: register, NFTA_IMMEDIATE_DATA: bytes(...value) })
  const dnat = step('nat', {
    NFTA_NAT_TYPE: 1,
    NFTA_NAT_FAMILY: 2,
    NFTA_NAT_REG_ADDR_MIN: 1,
    NFTA_NAT_REG_PROTO_MIN: 2,
  })
  const snat = step('nat', { NFTA_NAT_TYPE: 0, NFTA_NAT_FAMILY: 2, NFTA_NAT_REG_ADDR_MIN: 1 })
  const place = { family: 2, table: 't', name: 'c' }
  const verdict = (...expressions: SeenExpression[]) =>
    tryRule({ place, expressions, comment: undefined }, packet, nothing).matches[0]?.verdict
  expect(verdict(immediate(1, 10, 0, 0, 2), immediate(2, 0, 80), dnat)).toEqual({
    do: 'translate',
    to: 'dnat to 10.0.0.2:80',
    destination: { address: Uint8Array.of(10, 0, 0, 2), port: Uint8Array.of(0, 80) },
  })
  expect(verdict(load(1, 12, 4), immediate(2, 0, 80), dnat)).toEqual({ do: 'translate', to: 'dnat to …:80' })
  expect(verdict(immediate(1, 10, 0, 0, 2), snat)).toEqual({ do: 'end' })
})
