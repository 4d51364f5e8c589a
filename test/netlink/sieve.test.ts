// Wanted messages of a datagram come through, and the others are not even looked into.
import { describe, expect, test } from 'vitest'
import { NLM_F, NLMSG } from '../../src/netlink/message.ts'
import { firstOf, sieve } from '../../src/netlink/sieve.ts'
import { join, message } from './script.ts'

const object = (payload: readonly number[], flags = 0) => message(44, flags, 7, Uint8Array.from(payload))
const done = message(NLMSG.NLMSG_DONE, 2, 7, new Uint8Array(4))
const needle = Uint8Array.of(0x76, 0x66, 1)

describe('a datagram', () => {
  test('gives up what holds a needle, wherever in it, and what ends the dump', () => {
    const datagram = join(
      object([1, 2, 3, 4]),
      object([0x76, 0x66, 1, 9]),
      object([9, 9, 9, 9, 9, 0x76, 0x66, 1]),
      object([0x76, 0x66, 2, 1]),
      done,
    )
    const found = sieve(datagram, [Uint8Array.of(0x55), needle])
    expect(found.map(({ type, payload }) => [type, [...payload]])).toEqual([
      [44, [0x76, 0x66, 1, 9]],
      [44, [9, 9, 9, 9, 9, 0x76, 0x66, 1]],
      [NLMSG.NLMSG_DONE, [0, 0, 0, 0]],
    ])
    expect(sieve(datagram, [])).toHaveLength(1)
    expect([...(firstOf(datagram)?.payload ?? [])]).toEqual([1, 2, 3, 4])
  })

  test('a needle across two messages is in neither', () => {
    expect(sieve(join(object([1, 2, 0x76, 0x66]), object([1, 0, 0, 0])), [needle])).toEqual([])
  })

  test('one whose dump was interrupted says so, whatever it holds', () => {
    expect(sieve(object([1, 2, 3, 4], NLM_F.NLM_F_DUMP_INTR), [needle])).toHaveLength(1)
  })

  test('of lengths that do not fit is no datagram', () => {
    const cut = object([1, 2, 3, 4]).subarray(0, 18)
    for (const bad of [cut, cut.subarray(0, 6), Uint8Array.from([3, 0, 0, 0, ...new Uint8Array(16)])])
      expect(() => sieve(bad, [needle])).toThrow('Cannot decode netlink message')
  })
})
