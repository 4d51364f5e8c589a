// Any value that a table can hold comes back from its bytes. The values are made from the tables themselves, so a new
// row is covered when it is written.
import fc, { type Arbitrary } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { families } from '../../hack/lab/netlink/families.ts'
import { ipFromBytes } from '../../src/lib/ip.ts'
import { hexOctets } from '../../src/lib/mac.ts'
import { Attrs, ByKind } from '../../src/netlink/codec/attrs.ts'
import { Indexed, Ordered, Repeated } from '../../src/netlink/codec/lists.ts'
import { List, Struct } from '../../src/netlink/codec/struct.ts'
import type { Row } from '../../src/netlink/codec/tlv.ts'
import type { Codec } from '../../src/netlink/codec/wire.ts'
import { devlinkMessage } from '../../src/netlink/genl/devlink.ts'
import { ctrlMessage } from '../../src/netlink/genl/genl.ts'
import { extack, Family } from '../../src/netlink/message.ts'
import { bridgeAfSpec } from '../../src/netlink/rtnl/bridge-attributes.ts'

const raw = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const text = (kind: string, sizes: number[], make: (bytes: Uint8Array) => string) =>
  [
    kind,
    fc
      .constantFrom(...sizes)
      .chain(raw)
      .map(make),
  ] as const

/** Values of single attributes by the codec's kind. Byte strings come from their own kind's name. */
const leaves: Readonly<Record<string, Arbitrary<unknown>>> = Object.fromEntries([
  ...['u8', 'u16', 'u32', 'be16', 'be32'].map(
    (kind) => [kind, fc.nat(2 ** Number(kind.replace(/\D+/, '')) - 1)] as const,
  ),
  ...['s16', 's32'].map(
    (kind) =>
      [
        kind,
        fc.integer({ min: -(2 ** (Number(kind.slice(1)) - 1)), max: 2 ** (Number(kind.slice(1)) - 1) - 1 }),
      ] as const,
  ),
  ...['u64', 'be64'].map((kind) => [kind, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })] as const),
  ['flag', fc.constant(true)],
  ['string', fc.string({ maxLength: 7 }).filter((value) => !value.includes('\0'))],
  ['bytes', fc.uint8Array({ maxLength: 20 })],
  ['options', fc.uint8Array({ maxLength: 20 })],
  ['bytes[16]', raw(16)],
  ['bytes[1024]', raw(1024)],
  text('mac', [6], (bytes) => hexOctets(bytes, 0, bytes.length)),
  text('lladdr', [0, 4, 6, 20], (bytes) => hexOctets(bytes, 0, bytes.length)),
  text('ipv4', [4], ipFromBytes),
  text('ipv6', [16], ipFromBytes),
  text('ip', [4, 16], ipFromBytes),
  text('rtvia', [4, 16], ipFromBytes),
])
const octets = (length: number) => raw(length).map((bytes) => hexOctets(bytes, 0, length))
/** Values of codecs that are put together by hand. Of a long address only what is shown of it is kept, so it has no zeros at its end. */
const special: Readonly<Record<string, () => Arbitrary<unknown>>> = {
  'lladdr[32]': () =>
    fc.oneof(
      octets(6),
      octets(19).map((head) => `${head}:01`),
      octets(31).map((head) => `${head}:ff`),
    ),
  tc_pedit_sel: () =>
    fc.record({
      ...numbers(0xff, 'index', 'capab', 'action', 'refcnt', 'bindcnt', 'flags'),
      keys: fc.array(fc.record(numbers(0xffffffff, 'mask', 'val', 'off', 'at', 'offmask', 'shift')), {
        maxLength: 4,
      }),
    }),
  tc_u32_sel: () =>
    fc.record({
      ...{ flags: leaf('u8'), offshift: leaf('u8'), offmask: leaf('be16'), off: leaf('u16') },
      ...{ offoff: leaf('s16'), hoff: leaf('s16'), hmask: leaf('be32') },
      keys: fc.array(
        fc.record({ mask: leaf('be32'), val: leaf('be32'), off: leaf('s32'), offmask: leaf('s32') }),
        { maxLength: 4 },
      ),
    }),
  'rtnexthop[]': () =>
    fc.array(
      fc.record(
        {
          rtnh_flags: fc.nat(255),
          rtnh_hops: fc.nat(255),
          rtnh_ifindex: fc.nat(),
          RTA_GATEWAY: leaf('ip'),
          RTA_FLOW: leaf('u32'),
        },
        { requiredKeys: ['rtnh_flags', 'rtnh_hops', 'rtnh_ifindex'] },
      ),
      { maxLength: 3 },
    ),
}
const numbers = (max: number, ...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, fc.nat(max)]))

function leaf(kind: string): Arbitrary<unknown> {
  const found = leaves[kind] ?? special[kind]?.()
  if (found === undefined) throw new Error(`no values for ${kind}: add them`)
  return found
}

function values(codec: Codec<unknown>): Arbitrary<unknown> {
  if (codec instanceof Family)
    return fc
      .tuple(values(codec.header), values(codec.attributes))
      .map(([header, attributes]) => ({ ...(header as object), ...(attributes as object) }))
  if (codec instanceof Attrs) return attributes(codec)
  if (codec instanceof Struct)
    return fc.record(
      Object.fromEntries(
        (codec.fields as [string, Codec<unknown>][])
          .filter(([name]) => !name.startsWith('_'))
          .map(([name, inner]) => [name, values(inner)]),
      ),
    )
  if (codec instanceof Repeated) return fc.array(values(codec.row[1] as Codec<unknown>), { maxLength: 3 })
  if (codec instanceof List) return fc.array(values(codec.element as Codec<unknown>), { maxLength: 3 })
  if (codec instanceof Indexed)
    return fc.array(fc.tuple(fc.nat(40), values(codec.element as Codec<unknown>)), { maxLength: 3 })
  if (codec instanceof Ordered)
    return fc.array(
      fc.oneof(...rows(codec.row).map(([name, row]) => fc.tuple(fc.constant(name), values(row[1])))),
      { maxLength: 5 },
    )
  return leaf(codec.kind)
}

const rows = (codec: Attrs<Record<string, Row>>) => Object.entries(codec.table)
const unknown = fc.dictionary(
  fc.integer({ min: 5000, max: 5003 }).map((number) => `#${number}`),
  fc.uint8Array({ maxLength: 9 }),
  { maxKeys: 2 },
)

/** Some rows of a table in any order, options with a kind that fits them, and attributes that the table doesn't have. */
function attributes(codec: Attrs<Record<string, Row>>): Arbitrary<unknown> {
  const all = rows(codec)
  const some = fc.shuffledSubarray(
    all.map(([name]) => name),
    { maxLength: Math.min(all.length, 6) },
  )
  const plain = some.chain((names) =>
    fc
      .tuple(...names.map((name) => values((codec.table[name] as Row)[1])))
      .map((list) => Object.fromEntries(names.map((name, i) => [name, list[i]]))),
  )
  const kinds = all.flatMap(([name, [, inner]]) =>
    inner instanceof ByKind
      ? Object.entries(inner.kinds as Record<string, Codec<unknown>>).map(
          ([kind, options]) => [inner.key, kind, name, options] as const,
        )
      : [],
  )
  const chosen =
    kinds.length === 0
      ? fc.constant({})
      : fc.oneof(
          ...kinds.map(([key, kind, name, options]) =>
            values(options).map((value) => ({ [key]: kind, [name]: value })),
          ),
        )
  return fc.tuple(plain, chosen, unknown).map(([one, options, more]) => {
    const value: Record<string, unknown> = { ...more, ...one, ...options }
    // Raw options of a kind that the table knows would be read as that kind's.
    for (const [key, , name] of kinds) if (!(name in options)) delete value[key in options ? name : '']
    return value
  })
}

const codecs: readonly (readonly [string, Codec<unknown>])[] = [
  ...families.map((codec) => [codec.kind, codec] as const),
  ['ctrl', ctrlMessage as Codec<unknown>],
  ['devlink', devlinkMessage as Codec<unknown>],
  ['extended ACK', extack as Codec<unknown>],
  ['bridge AF_SPEC', bridgeAfSpec as Codec<unknown>],
]

describe('decode(encode(value)) is the value', () => {
  test.each(codecs)('%s', (_, codec) => {
    fc.assert(
      fc.property(values(codec), (value) => {
        const bytes = codec.encode(value)
        const decoded = codec.decode(bytes)
        expect(decoded).toEqual(value)
        expect(keysOf(decoded)).toEqual(keysOf(value))
        expect(codec.encode(decoded)).toEqual(bytes)
        expect(bytes.length % 4).toBe(0)
      }),
      { seed: 20, numRuns: 300 },
    )
  })
})

/** The order of attributes is part of the value; that of struct fields is not. */
function keysOf(value: unknown): string[] {
  return Object.keys(value as object).filter((key) => /^[A-Z#]/.test(key))
}
