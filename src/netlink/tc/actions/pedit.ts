// Rewrite header bytes. linux/tc_act/tc_pedit.h

import { ipFamily, ipToBytes } from '../../../lib/ip.ts'
import { macToBytes } from '../../../lib/mac.ts'
import { type AttrsOf, attrs } from '../../codec/attrs.ts'
import { repeated } from '../../codec/lists.ts'
import { struct } from '../../codec/struct.ts'
import { bytes, u8, u16, u32, type Value } from '../../codec/wire.ts'
import { selection } from '../selection.ts'
import { tc_gen, tcf_t } from './gact.ts'

/** enum pedit_header_type: the header from which an offset counts. */
export const TCA_PEDIT_KEY_EX_HDR_TYPE = {
  TCA_PEDIT_KEY_EX_HDR_TYPE_NETWORK: 0,
  TCA_PEDIT_KEY_EX_HDR_TYPE_ETH: 1,
  TCA_PEDIT_KEY_EX_HDR_TYPE_IP4: 2,
  TCA_PEDIT_KEY_EX_HDR_TYPE_IP6: 3,
  TCA_PEDIT_KEY_EX_HDR_TYPE_TCP: 4,
  TCA_PEDIT_KEY_EX_HDR_TYPE_UDP: 5,
} as const
/** enum pedit_cmd */
export const TCA_PEDIT_KEY_EX_CMD = { TCA_PEDIT_KEY_EX_CMD_SET: 0, TCA_PEDIT_KEY_EX_CMD_ADD: 1 } as const

/** struct tc_pedit_key, linux/tc_act/tc_pedit.h: `word = (word & mask) ^ val`, all raw wire bytes. `off` is a multiple of 4. */
export const tc_pedit_key = struct('tc_pedit_key', [
  ['mask', u32],
  ['val', u32],
  ['off', u32],
  ['at', u32],
  ['offmask', u32],
  ['shift', u32],
])
/** struct tc_pedit_sel without its keys; the codec handles nkeys. */
export const tc_pedit_sel = struct('tc_pedit_sel', [
  ...tc_gen,
  ['nkeys', u8],
  ['flags', u8],
  ['_pad', bytes(2)],
])

const peditSelection = selection(tc_pedit_sel, tc_pedit_key)
/** struct tc_pedit_sel with its keys. */
export type Selection = Value<typeof peditSelection>

/** TCA_PEDIT_KEY_EX_* of linux/tc_act/tc_pedit.h: the header and the command of the key at the same position. */
export const keyEx = attrs('TCA_PEDIT_KEY_EX', () => ({
  TCA_PEDIT_KEY_EX_HTYPE: [1, u16],
  TCA_PEDIT_KEY_EX_CMD: [2, u16],
}))

/** TCA_PEDIT_KEYS_EX */
export const keysEx = repeated('TCA_PEDIT_KEY_EX', [6, keyEx])

/** TCA_PEDIT_* of linux/tc_act/tc_pedit.h. PARMS without KEYS_EX is the old form, which no NIC takes. */
export const pedit = attrs('TCA_PEDIT', () => ({
  TCA_PEDIT_TM: [1, tcf_t],
  TCA_PEDIT_PARMS: [2, peditSelection],
  TCA_PEDIT_PAD: [3, bytes()],
  TCA_PEDIT_PARMS_EX: [4, peditSelection],
  TCA_PEDIT_KEYS_EX: [5, keysEx],
}))
export type Pedit = AttrsOf<(typeof pedit)['table']>

/** The fields to write; absent fields stay. `proto` tells the header of the ports. */
export interface Rewrite {
  /** MAC addresses, `02:00:00:00:00:01`. */
  readonly ethDst?: string
  readonly ethSrc?: string
  /** IP addresses; their family tells the header. */
  readonly ipSrc?: string
  readonly ipDst?: string
  /** TTL of IPv4 or hop limit of IPv6, 0-255; the family is that of the addresses, or `family`. */
  readonly ttl?: number
  readonly family?: 4 | 6
  /** Ports 0-65535 of TCP (6) or UDP (17). */
  readonly proto?: 6 | 17
  readonly portSrc?: number
  readonly portDst?: number
}

/** The parameters of one pedit action that makes all changes, in the order of the headers, then does `action` (TC_ACT, mostly PIPE 3). */
export function peditRewrite(rewrite: Rewrite, action: number): Pedit {
  const words = wordsOf(rewrite)
  if (words.length === 0) throw new RangeError('Cannot make a pedit action: nothing to rewrite')
  const keys = words.map(({ off, mask, val }) => ({ mask, val, off, at: 0, offmask: 0, shift: 0 }))
  const set = TCA_PEDIT_KEY_EX_CMD.TCA_PEDIT_KEY_EX_CMD_SET
  return {
    TCA_PEDIT_PARMS_EX: { index: 0, capab: 0, action, refcnt: 0, bindcnt: 0, flags: 0, keys },
    TCA_PEDIT_KEYS_EX: words.map(({ htype }) => ({
      TCA_PEDIT_KEY_EX_HTYPE: htype,
      TCA_PEDIT_KEY_EX_CMD: set,
    })),
  }
}

/** One key: a mask of the bits that stay, and the bits to write. */
interface Word {
  readonly htype: number
  readonly off: number
  readonly mask: number
  readonly val: number
}

/** As wire bytes: 00 00 ff ff. The first half is written. */
const keepBack = 0xffff0000
/** As wire bytes: ff ff 00 00. The second half is written. */
const keepFront = 0x0000ffff
const {
  TCA_PEDIT_KEY_EX_HDR_TYPE_ETH: ETH,
  TCA_PEDIT_KEY_EX_HDR_TYPE_IP4: IP4,
  TCA_PEDIT_KEY_EX_HDR_TYPE_IP6: IP6,
} = TCA_PEDIT_KEY_EX_HDR_TYPE
const { TCA_PEDIT_KEY_EX_HDR_TYPE_TCP: TCP, TCA_PEDIT_KEY_EX_HDR_TYPE_UDP: UDP } = TCA_PEDIT_KEY_EX_HDR_TYPE

function wordsOf(rewrite: Rewrite): Word[] {
  const { ethDst, ethSrc, ipSrc, ipDst, ttl, proto, portSrc, portDst } = rewrite
  const words: Word[] = []
  // Destination and source share the word at 4 with disjoint masks. Some drivers refuse one merged key (sfc), so there are two keys.
  if (ethDst !== undefined) {
    const octets = macToBytes(ethDst)
    words.push({ htype: ETH, off: 0, mask: 0, val: wire(octets, 0, 4, 0) })
    words.push({ htype: ETH, off: 4, mask: keepBack, val: wire(octets, 4, 2, 0) })
  }
  if (ethSrc !== undefined) {
    const octets = macToBytes(ethSrc)
    words.push({ htype: ETH, off: 4, mask: keepFront, val: wire(octets, 0, 2, 2) })
    words.push({ htype: ETH, off: 8, mask: 0, val: wire(octets, 2, 4, 0) })
  }
  const family = familyOf(rewrite)
  if (ttl !== undefined) {
    if (!Number.isInteger(ttl) || ttl < 0 || ttl > 255)
      throw new RangeError(`Cannot rewrite ttl to ${ttl}: must be 0-255`)
    if (family === undefined) throw new RangeError('Cannot rewrite ttl: need the family')
    words.push(
      family === 4
        ? { htype: IP4, off: 8, mask: 0xffffff00, val: ttl }
        : { htype: IP6, off: 4, mask: 0x00ffffff, val: ttl * 0x1000000 },
    )
  }
  if (ipSrc !== undefined) addressWords(words, ipSrc, family === 4 ? 12 : 8)
  if (ipDst !== undefined) addressWords(words, ipDst, family === 4 ? 16 : 24)
  if (portSrc !== undefined) words.push(portWord(proto, portSrc, 0))
  if (portDst !== undefined) words.push(portWord(proto, portDst, 2))
  return words
}

function familyOf({ ipSrc, ipDst, family }: Rewrite): 4 | 6 | undefined {
  const source = ipSrc === undefined ? family : ipFamily(ipSrc)
  const destination = ipDst === undefined ? family : ipFamily(ipDst)
  const one = source ?? destination
  if (one !== (destination ?? source) || (family !== undefined && one !== family)) {
    throw new RangeError('Cannot make a pedit action: both IPv4 and IPv6')
  }
  return one
}

function addressWords(words: Word[], ip: string, off: number): void {
  const bytes = ipToBytes(ip)
  const htype = bytes.length === 4 ? IP4 : IP6
  for (let i = 0; i < bytes.length; i += 4)
    words.push({ htype, off: off + i, mask: 0, val: wire(bytes, i, 4, 0) })
}

/** Ports of TCP and UDP share the first word of either header; the source comes first. */
function portWord(proto: number | undefined, port: number, place: 0 | 2): Word {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff)
    throw new RangeError(`Cannot rewrite port to ${port}: must be 0-65535`)
  if (proto !== 6 && proto !== 17)
    throw new RangeError('Cannot rewrite ports: need proto 6 (TCP) or 17 (UDP)')
  const val = wire(Uint8Array.of(port >> 8, port & 0xff), 0, 2, place)
  return { htype: proto === 6 ? TCP : UDP, off: 0, mask: place === 0 ? keepBack : keepFront, val }
}

/** `count` bytes from bytes[at] on, put at place 0-3 of a word, as the host-order number with those bytes in memory. */
function wire(bytes: Uint8Array, at: number, count: number, place: number): number {
  let word = 0
  for (let i = 0; i < count; i++) word |= (bytes[at + i] as number) << (8 * (place + i))
  return word >>> 0
}
