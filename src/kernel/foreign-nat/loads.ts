/** Evaluates the expressions of a rule that load a value into a register, as far as the value is known. */
import { eachAttribute } from '../../netlink/codec/tlv.ts'
import { be32 } from '../../netlink/codec/wire.ts'
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import { NFT_SEEN, seen } from '../../netlink/nf/others.ts'
import { NFT_META } from '../../netlink/nf/rules.ts'
import { all, type Packet, type Partly, part, unknown } from './packet.ts'
import { hostNumber, masked, type Registers, swapped } from './registers.ts'

/** A value for a register. */
export interface Load {
  readonly to: number
  readonly value: Partly
  /** Set for an unknown value: the value depends on the interface, or is one of `outcomes` random values. */
  readonly depends?: { readonly of: 'interface' } | { readonly of: 'chance'; readonly outcomes: number }
}

/**
 * The load of an expression; `nothing` for an expression that writes to the packet or drops the value; undefined for an expression
 * that cannot be read.
 */
export function loadOf(
  name: string,
  data: Uint8Array,
  packet: Packet,
  registers: Registers,
): Load | 'nothing' | undefined {
  switch (name) {
    case 'meta':
      return meta(data, packet)
    case 'payload':
      return payload(data, packet)
    case 'fib':
      return fib(data)
    case 'byteorder':
      return byteorder(data, registers)
    case 'bitwise':
      return bitwise(data, registers)
    default:
      return Object.hasOwn(loading, name) ? other(data, loading[name], chances[name]) : undefined
  }
}

/**
 * Expressions that load an unknown value. The number is their attribute for the register (NFTA_CT_DREG, NFTA_SOCKET_DREG, ...).
 */
const loading: Readonly<Record<string, number>> = {
  ...{ ct: 1, rt: 1, osf: 1, exthdr: 1, numgen: 1, xfrm: 1 },
  ...{ socket: 2, hash: 2, tunnel: 2 },
}

/**
 * Expressions that load a random value. The number is their attribute for the count of values (NFTA_NG_MODULUS,
 * NFTA_HASH_MODULUS).
 */
const chances: Readonly<Record<string, number | undefined>> = { numgen: 2, hash: 4 }

function meta(data: Uint8Array, { family, proto }: Packet): Load | 'nothing' {
  const { NFTA_META_DREG: to, NFTA_META_KEY: key } = read(seen.meta, data)
  if (to === undefined) return 'nothing'
  const nfproto = family === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6
  const known = new Map([
    [NFT_META.NFT_META_L4PROTO, all(Uint8Array.of(proto))],
    [NFT_META.NFT_META_NFPROTO, all(Uint8Array.of(nfproto))],
    [NFT_SEEN.NFT_META_PROTOCOL, all(family === 4 ? Uint8Array.of(0x08, 0) : Uint8Array.of(0x86, 0xdd))],
  ] as [number, Partly][])
  // Names of interfaces have 16 bytes.
  const value = known.get(key ?? -1) ?? unknown(16)
  const isInterface = key === NFT_META.NFT_META_IIFNAME || key === NFT_SEEN.NFT_META_IIF
  return { to, value, ...(isInterface ? { depends: { of: 'interface' } } : {}) }
}

function payload(data: Uint8Array, { headers }: Packet): Load | 'nothing' {
  const { NFTA_PAYLOAD_DREG: to, NFTA_PAYLOAD_BASE: base, ...at } = read(seen.payload, data)
  // Without a destination register the expression writes to the packet.
  if (to === undefined) return 'nothing'
  const length = at.NFTA_PAYLOAD_LEN ?? 0
  const header = headers[(base ?? 0) - 1]
  return {
    to,
    value: header === undefined ? unknown(length) : part(header, at.NFTA_PAYLOAD_OFFSET ?? 0, length),
  }
}

/** The packet's destination is an address of the node, because only such addresses are mapped. */
function fib(data: Uint8Array): Load | 'nothing' {
  const { NFTA_FIB_DREG: to, NFTA_FIB_RESULT: result, NFTA_FIB_FLAGS: flags = 0 } = read(seen.fib, data)
  const isLocal =
    result === NFT_SEEN.NFT_FIB_RESULT_ADDRTYPE &&
    (flags & NFT_SEEN.NFTA_FIB_F_DADDR) !== 0 &&
    (flags & NFT_SEEN.NFTA_FIB_F_SADDR) === 0
  return to === undefined ? 'nothing' : { to, value: isLocal ? hostNumber(RTN_LOCAL) : unknown(16) }
}

/** RTN_LOCAL, linux/rtnetlink.h. */
const RTN_LOCAL = 2

function byteorder(data: Uint8Array, registers: Registers): Load {
  const { NFTA_BYTEORDER_SREG: from = 1, NFTA_BYTEORDER_DREG: to = 1, ...how } = read(seen.byteorder, data)
  const loaded = registers.load(from, how.NFTA_BYTEORDER_LEN ?? 0)
  return { to, value: swapped(loaded, how.NFTA_BYTEORDER_SIZE ?? 1) }
}

function bitwise(data: Uint8Array, registers: Registers): Load {
  const { NFTA_BITWISE_SREG: from = 1, NFTA_BITWISE_DREG: to = 1, ...how } = read(seen.bitwise, data)
  const length = how.NFTA_BITWISE_LEN ?? 0
  const mask = how.NFTA_BITWISE_MASK?.NFTA_DATA_VALUE
  const xor = how.NFTA_BITWISE_XOR?.NFTA_DATA_VALUE
  const isMask = (how.NFTA_BITWISE_OP ?? 0) === 0 && mask !== undefined && xor !== undefined
  return { to, value: isMask ? masked(registers.load(from, length), mask, xor) : unknown(length) }
}

function other(
  data: Uint8Array,
  attribute: number | undefined,
  modulus: number | undefined,
): Load | 'nothing' {
  let [to, outcomes]: (number | undefined)[] = []
  eachAttribute('NFTA_EXPR_DATA', data, 0, data.length, (type, _flags, start, stop) => {
    if (type === attribute) to = be32.read(data, start, stop)
    if (type === modulus) outcomes = be32.read(data, start, stop)
  })
  if (to === undefined) return 'nothing'
  return {
    to,
    value: unknown(16),
    ...(outcomes === undefined ? {} : { depends: { of: 'chance', outcomes } }),
  }
}

/** Decodes the attributes of an expression. @throws RangeError for bytes with another layout than in the kernels known here */
export function read<T>(codec: { decode(bytes: Uint8Array): T }, data: Uint8Array): T {
  return codec.decode(data)
}
