// Bytes that nobody meant: every capture with seeded mutations, into every decoder. Each returns or throws RangeError,
// ends, and reads nothing outside of what it was given. A part of the mutations must decode, or they test nothing.
import { describe, expect, test } from 'vitest'
import { annotateDatagram, bytesOf } from '../../hack/lab/netlink/annotate.ts'
import { families } from '../../hack/lab/netlink/families.ts'
import type { Codec } from '../../src/netlink/codec/wire.ts'
import { devlinkMessage } from '../../src/netlink/genl/devlink.ts'
import { ctrlMessage } from '../../src/netlink/genl/genl.ts'
import { attributeAt } from '../../src/netlink/inspect.ts'
import { extack, type Message, NLMSG, parseAck, parseDatagram } from '../../src/netlink/message.ts'
import { bridgeAfSpec } from '../../src/netlink/rtnl/bridge-attributes.ts'
import { NetlinkError, NetlinkSocket } from '../../src/netlink/socket.ts'
import { compareEcho } from '../../src/netlink/tc/compare.ts'
import { type Tc, tcMessage } from '../../src/netlink/tc/msg.ts'
import { checkFilter } from '../../src/netlink/tc/validate.ts'
import { fixtures, payloadsOf } from './fixtures.ts'
import { script } from './script.ts'

const perPayload = 150
const genl = { cmd: 3, version: 1, reserved: 0 }

/** Numbers 0 to below `below`, the same ones in each run (mulberry32). */
function randomizer(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

/** One to three changes: a bit, a byte, a length word, a cut, an insertion, a part twice. */
function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = original.slice()
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(Math.max(1, bytes.length))
    const word = at & ~3
    switch (random(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 1:
        bytes[at] = random(256)
        break
      case 2:
        bytes[word] = [0, 1, 3, 4, 5, 8, 0xff][random(7)] as number
        break
      case 3:
        bytes[word + 1] = [0, 1, 0x7f, 0xff][random(4)] as number
        break
      case 4:
        bytes = bytes.slice(0, at)
        break
      case 5:
        bytes = new Uint8Array(
          Buffer.concat([bytes.subarray(0, word), Buffer.alloc(4, random(256)), bytes.subarray(word)]),
        )
        break
      default: {
        const end = word + 4 * random(8)
        bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, end), bytes.subarray(word)]))
      }
    }
  }
  return bytes
}

/** The value, or the message of the RangeError. Any other error fails the test. */
function outcome<T>(decode: () => T): { value: T } | { refused: string } {
  try {
    return { value: decode() }
  } catch (error) {
    if (error instanceof RangeError && !/call stack/i.test(error.message)) return { refused: error.message }
    throw error
  }
}

/** The same bytes in the middle of others. */
function surrounded(bytes: Uint8Array, filler: number): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 128).fill(filler)
  buffer.set(bytes, 64)
  return buffer.subarray(64, 64 + bytes.length)
}

const captures = fixtures.flatMap((one) =>
  payloadsOf(one).map((part, i) => [`${one.name} ${i}`, part.codec, part.payload] as const),
)

/** Messages that no capture of rtnetlink holds by itself: generic netlink, what a refusal explains, a bridge's VLANs. */
const made = [
  built('ctrl request', ctrlMessage, { ...genl, CTRL_ATTR_FAMILY_NAME: 'devlink' }),
  built('ctrl answer', ctrlMessage, {
    ...{ ...genl, cmd: 1, version: 2 },
    ...{ CTRL_ATTR_FAMILY_NAME: 'devlink', CTRL_ATTR_FAMILY_ID: 22, CTRL_ATTR_VERSION: 1 },
  }),
  built('devlink answer', devlinkMessage, {
    ...{ ...genl, cmd: 29 },
    ...{ DEVLINK_ATTR_BUS_NAME: 'pci', DEVLINK_ATTR_DEV_NAME: '0000:01:00.0', DEVLINK_ATTR_ESWITCH_MODE: 1 },
  }),
  built('extended ACK', extack, {
    ...{ NLMSGERR_ATTR_MSG: 'Attribute failed policy validation', NLMSGERR_ATTR_OFFS: 52 },
    NLMSGERR_ATTR_POLICY: { NL_POLICY_TYPE_ATTR_TYPE: 3, NL_POLICY_TYPE_ATTR_MAX_VALUE_U: 255n },
    ...{ NLMSGERR_ATTR_MISS_TYPE: 8, NLMSGERR_ATTR_MISS_NEST: 36 },
  }),
]

function built<T>(name: string, codec: Codec<T>, value: T): readonly [string, Codec<unknown>, Uint8Array] {
  return [name, codec as Codec<unknown>, codec.encode(value)]
}

const payloads = [...captures, ...made]
const datagrams = fixtures.map((one, i) => [one.name, one.bytes, i] as const)

describe('family codecs', () => {
  let decoded = 0
  let refused = 0

  test.each(payloads)('%s', (name, codec, payload) => {
    const random = randomizer(name.length * 7919 + payload.length)
    for (let i = 0; i < perPayload; i++) {
      const bytes = mutate(payload, random)
      const alone = outcome(() => codec.decode(bytes))
      for (const filler of [0x00, 0xff])
        expect(outcome(() => codec.decode(surrounded(bytes, filler)))).toEqual(alone)
      if ('refused' in alone) refused++
      else {
        decoded++
        // A message that decodes has bytes that mean the same.
        expect(codec.decode(codec.encode(alone.value))).toEqual(alone.value)
      }
    }
  })

  test('at least a fifth of the mutations decode, and a fifth are refused', () => {
    expect(decoded + refused).toBe(payloads.length * perPayload)
    expect(decoded / (decoded + refused)).toBeGreaterThan(0.2)
    expect(refused / (decoded + refused)).toBeGreaterThan(0.2)
  })

  test('every codec takes or refuses the bytes of every other family', () => {
    const codecs: readonly Codec<unknown>[] = [
      ...families,
      ctrlMessage as Codec<unknown>,
      devlinkMessage as Codec<unknown>,
      extack as Codec<unknown>,
      bridgeAfSpec as Codec<unknown>,
    ]
    let decodes = 0
    for (const codec of codecs)
      for (const [, , payload] of payloads) if ('value' in outcome(() => codec.decode(payload))) decodes++
    expect(decodes).toBeGreaterThanOrEqual(payloads.length)
  })
})

describe('datagrams', () => {
  test.each(datagrams)('%s', (_, original, seed) => {
    const random = randomizer(seed + 1)
    for (let i = 0; i < perPayload / 3; i++) {
      const bytes = mutate(original, random)
      // Never an error, and nothing is left out of what is shown.
      expect(bytesOf(annotateDatagram(bytes))).toEqual(bytes)
      const messages = outcome(() => parseDatagram(bytes))
      if ('refused' in messages) continue
      for (const message of messages.value) {
        outcome(() => parseAck(message))
        outcome(() => parseAck({ ...message, type: NLMSG.NLMSG_ERROR, flags: random(0x10000) }))
        for (const codec of families)
          outcome(() =>
            attributeAt(codec, message.payload, random(200), random(2) === 0 ? undefined : random(200)),
          )
      }
    }
  })

  test.each(datagrams)('a socket that receives %s in pieces ends', (_, original, seed) => {
    const random = randomizer(seed + 1000)
    for (let i = 0; i < perPayload / 10; i++) {
      const bytes = mutate(original, random)
      const answer = (sent: readonly Message[]) => withSequence(bytes, sent.at(-1)?.seq ?? 0)
      const request = {
        name: 'X',
        type: 18,
        flags: 0,
        payload: original.slice(16),
        codec: families[0] as Codec<unknown>,
      }
      for (const use of ['request', 'dump'] as const) {
        const socket = new NetlinkSocket(script(...Array.from({ length: 30 }, () => answer)))
        try {
          socket[use](request)
        } catch (error) {
          const expected =
            error instanceof RangeError ||
            error instanceof NetlinkError ||
            (error as Error).message === 'the script has ended'
          if (!expected) throw error
        }
      }
    }
  })
})

test('checks and comparisons of filters take any decoded filter', () => {
  const filters = payloads.filter(([, codec]) => codec === (tcMessage as Codec<unknown>))
  let compared = 0
  filters.forEach(([, , payload], seed) => {
    const random = randomizer(seed + 5)
    const original = tcMessage.decode(payload)
    for (let i = 0; i < perPayload; i++) {
      const bytes = mutate(payload, random)
      const other = outcome(() => tcMessage.decode(bytes))
      if ('refused' in other) continue
      outcome(() => checkFilter(other.value))
      const differences = compareEcho(original as Tc, other.value)
      expect(differences.every((text) => text.length > 0)).toBe(true)
      compared++
    }
  })
  expect(compared).toBeGreaterThan(filters.length * perPayload * 0.2)
})

/** The first message of a datagram with the sequence number that is waited for. */
function withSequence(datagram: Uint8Array, sequence: number): Uint8Array {
  const bytes = datagram.slice()
  if (bytes.length >= 12) new DataView(bytes.buffer).setUint32(8, sequence, true)
  return bytes
}
