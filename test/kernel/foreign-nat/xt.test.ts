// Evaluates matches of x_tables, laid out as in the kernel's headers. test/native reads rules that iptables has made.
import { describe, expect, test } from 'vitest'
import { packetTo } from '../../../src/kernel/foreign-nat/packet.ts'
import { xtMatch, xtMatchWords, xtTarget, xtTranslation } from '../../../src/kernel/foreign-nat/xt.ts'
import { ipToBytes } from '../../../src/lib/ip.ts'

const packet = packetTo({ proto: 'tcp', address: '10.1.0.1', port: 8080 })

/** Bytes with numbers of 16 bits in host order, and single bytes, at offsets. */
function info(
  size: number,
  words: Readonly<Record<number, number>>,
  bytes: Readonly<Record<number, number>> = {},
) {
  const data = new Uint8Array(size)
  const view = new DataView(data.buffer)
  for (const [at, value] of Object.entries(words)) view.setUint16(Number(at), value, true)
  for (const [at, value] of Object.entries(bytes)) data[Number(at)] = value
  return data
}

const any = { 2: 0xffff }
describe('ports of tcp and udp', () => {
  test.each([
    ['the port', 'tcp', info(16, { ...any, 4: 8080, 6: 8080 }), 'yes'],
    ['a range', 'tcp', info(16, { ...any, 4: 8000, 6: 8090 }), 'yes'],
    ['another', 'tcp', info(16, { ...any, 4: 80, 6: 80 }), 'no'],
    ['all but the port', 'tcp', info(16, { ...any, 4: 8080, 6: 8080 }, { 11: 2 }), 'no'],
    ['all but another', 'tcp', info(16, { ...any, 4: 80, 6: 80 }, { 11: 2 }), 'yes'],
    ['with a port of the source', 'tcp', info(16, { 0: 1, 2: 1023, 4: 8080, 6: 8080 }), 'maybe'],
    ['with flags', 'tcp', info(16, { ...any, 4: 8080, 6: 8080 }, { 9: 2, 10: 2 }), 'maybe'],
    ['the port of udp', 'udp', info(16, { ...any, 4: 8080, 6: 8080 }), 'yes'],
    ['all but the port of udp', 'udp', info(16, { ...any, 4: 8080, 6: 8080 }, { 8: 2 }), 'no'],
  ] as const)('%s', (_, name, data, answer) => expect(xtMatch(name, 0, data, packet)).toBe(answer))
})

describe('multiport', () => {
  // struct xt_multiport_v1: flags, count, 15 ports, 15 marks of a range, inverted.
  const multiport = (flags: number, ports: readonly number[], ranges: readonly number[] = [], isNot = 0) =>
    info(48, Object.fromEntries(ports.map((port, index) => [2 + index * 2, port])), {
      0: flags,
      1: ports.length,
      ...Object.fromEntries(ranges.map((index) => [32 + index, 1])),
      47: isNot,
    })
  test.each([
    ['one of several', multiport(1, [80, 8080]), 'yes'],
    ['in a range', multiport(1, [80, 8000, 8090], [1]), 'yes'],
    ['between two that are no range', multiport(1, [8000, 8090]), 'no'],
    ['all but some', multiport(1, [80, 8080], [], 1), 'no'],
    ['of the source', multiport(0, [80]), 'maybe'],
    ['of either', multiport(2, [8080]), 'yes'],
    ['of either, by the source at most', multiport(2, [80]), 'maybe'],
  ] as const)('%s', (_, data, answer) => expect(xtMatch('multiport', 1, data, packet)).toBe(answer))

  test('is printed in iptables’ words', () =>
    expect(xtMatchWords('multiport', 1, multiport(1, [80, 8000, 8090], [1]))).toBe(
      'multiport dports 80,8000-8090',
    ))
})

describe('addresses', () => {
  const type = (source: number, destination: number, flags = 0) =>
    info(8, { 0: source, 2: destination, 4: flags })
  test.each([
    ['local', type(0, 4), 'yes'],
    ['not local', type(0, 4, 2), 'no'],
    ['of another kind', type(0, 2), 'no'],
    ['with one of the source', type(4, 4), 'maybe'],
    ['of one interface', type(0, 4, 4), 'maybe'],
  ] as const)('%s', (_, data, answer) => expect(xtMatch('addrtype', 1, data, packet)).toBe(answer))

  const range = (flags: number, first: string, last: string) => {
    const data = info(68, {}, { 64: flags })
    data.set(ipToBytes(first), 32)
    data.set(ipToBytes(last), 48)
    return data
  }
  test.each([
    ['in a range', range(2, '10.1.0.0', '10.1.0.9'), 'yes'],
    ['beyond', range(2, '10.1.0.2', '10.1.0.9'), 'no'],
    ['not in a range', range(34, '10.1.0.0', '10.1.0.9'), 'no'],
    ['with one of the source', range(3, '10.1.0.0', '10.1.0.9'), 'maybe'],
  ] as const)('%s', (_, data, answer) => expect(xtMatch('iprange', 1, data, packet)).toBe(answer))
})

test('matches and targets are told apart: without effect, undecided, unknown', () => {
  const nothing = new Uint8Array()
  expect(['comment', 'nfacct'].map((name) => xtMatch(name, 0, nothing, packet))).toEqual(['yes', 'yes'])
  expect(['mark', 'conntrack', 'statistic'].map((name) => xtMatch(name, 9, nothing, packet))).toEqual([
    'maybe',
    'maybe',
    'maybe',
  ])
  expect(['string', 'bpf', 'set'].map((name) => xtMatch(name, 1, nothing, packet))).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  expect(['MARK', 'ACCEPT', 'DNAT', 'REDIRECT', 'TRIGGER'].map(xtTarget)).toEqual([
    'goes on',
    'ends',
    'translates',
    'translates',
    undefined,
  ])
})

test('the destination of a target is printed in nft’s words', () => {
  const range = (flags: number, address: string, port: number) => {
    const data = info(40, {}, { 0: flags, 36: port >> 8, 37: port & 0xff })
    data.set(ipToBytes(address), 4)
    return data
  }
  expect(xtTranslation('DNAT', 2, range(3, '10.0.0.2', 80), 4)).toBe('dnat to 10.0.0.2:80')
  expect(xtTranslation('DNAT', 1, range(1, '10.0.0.2', 0), 4)).toBe('dnat to 10.0.0.2')
  expect(xtTranslation('DNAT', 2, range(3, 'fd00::2', 80), 6)).toBe('dnat to [fd00::2]:80')
  expect(xtTranslation('REDIRECT', 0, info(20, {}, { 0: 1, 4: 2, 16: 0x0c, 17: 0x38 }), 4)).toBe(
    'redirect to :3128',
  )
  expect(xtTranslation('DNAT', 2, new Uint8Array(4), 4)).toBe('target DNAT')
})
