/**
 * Translates rules of iptables-legacy to rules of nf_tables, so that only one form is followed and printed. A rule of
 * iptables-legacy is a struct ipt_entry or ip6t_entry: addresses, interfaces and protocol, then matches, then a target.
 */
import { NFPROTO } from '../../netlink/nf/nfnetlink.ts'
import { type Place, type SeenExpression, seen, VERDICT } from '../../netlink/nf/others.ts'
import { NF_INET, NFT_CMP, NFT_META } from '../../netlink/nf/rules.ts'
import { type LegacyTable, legacyTable } from '../../sys/iptables.ts'
import type { Base, Source } from './follow.ts'
import { layout } from './packet.ts'
import { isOtherXt, type Wanted } from './skim.ts'
import type { Rule } from './verdict.ts'

/** The nat table, and its chains on hooks. */
export interface LegacyNat {
  readonly bases: readonly Base[]
  readonly source: Source
  readonly kubeProxy: string | undefined
}

/** Offsets in struct ipt_entry and ip6t_entry, the size of an address, and the bit of a goto (IPT_F_GOTO, IP6T_F_GOTO). */
const forms = {
  4: {
    size: 4,
    interfaces: 16,
    proto: 80,
    flags: 82,
    inverted: 83,
    target: 88,
    next: 90,
    matches: 112,
    goto: 2,
  },
  6: {
    size: 16,
    interfaces: 64,
    proto: 128,
    flags: 131,
    inverted: 132,
    target: 140,
    next: 142,
    matches: 168,
    goto: 4,
  },
} as const
/** Bytes of struct xt_entry_match and xt_entry_target before their data: size, name of 29 bytes, revision. */
const headerSize = 32
/** IPT_INV_*. IPv6 has the same values. */
const inverted = { in: 1, source: 8, destination: 16, proto: 64 } as const
/** The hooks of the nat table before routing, and its priority there (NF_IP_PRI_NAT_DST). */
const before = [NF_INET.NF_INET_PRE_ROUTING, NF_INET.NF_INET_LOCAL_OUT] as const
const dstnat = -100
/** Verdicts of the standard target: -NF_* - 1, and -NF_REPEAT - 1 for RETURN. */
const standard = { drop: -1, accept: -2, queue: -4, return: -5 } as const

/** The nat table of the family of `wanted`; undefined where iptables-legacy has none. */
export function legacyNat(wanted: Wanted): LegacyNat | undefined {
  const table = legacyTable(wanted.family, 'nat')
  return table === undefined ? undefined : readLegacy(wanted, table)
}

/** Parses a nat table. A chain is identified by the offset of its first rule, as jumps do. Names are for people. */
export function readLegacy(wanted: Wanted, { hooks, entries }: LegacyTable): LegacyNat {
  const { family } = wanted
  const nfproto = family === 4 ? NFPROTO.NFPROTO_IPV4 : NFPROTO.NFPROTO_IPV6
  const view = new DataView(entries.buffer, entries.byteOffset, entries.length)
  const starts = before.map((hook) => hooks[hook])
  const [prerouting, output] = starts
  let names: ReadonlyMap<number, string> | undefined
  const nameOf = (chain: string): string => {
    const start = Number(chain)
    if (start === prerouting) return 'PREROUTING'
    if (start === output) return 'OUTPUT'
    names ??= chainNames(family, view)
    return names.get(start) ?? chain
  }
  const place = (start: number): Place => ({
    ...{ family: nfproto, table: 'nat (iptables-legacy)', name: String(start) },
  })
  const known = new Map<string, readonly Rule[]>()
  const rules = ({ name }: Place): readonly Rule[] => {
    const start = Number(name)
    const list = known.get(name) ?? chainAt(wanted, view, start, place(start), nameOf)
    known.set(name, list)
    return list
  }
  const bytes = Buffer.from(entries.buffer, entries.byteOffset, entries.length)
  return {
    bases: before.flatMap((hook) => {
      const start = hooks[hook]
      return start === undefined ? [] : [{ ...place(start), hook, priority: dstnat }]
    }),
    source: { rules, find: () => ({ answer: 'no', elements: [] }) },
    kubeProxy: bytes.includes('\0KUBE-NODEPORTS\0') ? 'chain KUBE-NODEPORTS' : undefined,
  }
}

/** Names of chains by the offset of their first rule. The entry before the first rule has the target ERROR and the name. */
function chainNames(family: 4 | 6, view: DataView): Map<number, string> {
  const form = forms[family]
  const names = new Map<number, string>()
  for (let at = 0; at + form.matches <= view.byteLength; ) {
    const [target, next] = [
      at + view.getUint16(at + form.target, true),
      at + view.getUint16(at + form.next, true),
    ]
    if (next <= at) break
    if (isError(view, target)) names.set(next, text(view, target + headerSize))
    at = next
  }
  return names
}

/** True for the target ERROR. The first two letters are compared first, because no other target begins with them. */
function isError(view: DataView, target: number): boolean {
  return view.getUint16(target + 2) === firstLetters && text(view, target + 2) === 'ERROR'
}

/** "ER" */
const firstLetters = 0x4552

/** The rules of a chain that may match a key, up to the next chain. The last rule returns, or is the policy. */
function chainAt(
  wanted: Wanted,
  view: DataView,
  start: number,
  place: Place,
  nameOf: (chain: string) => string,
): Rule[] {
  const { family } = wanted
  const form = forms[family]
  const rules: Rule[] = []
  for (let at = start; at + form.matches <= view.byteLength; ) {
    const [target, next] = [
      at + view.getUint16(at + form.target, true),
      at + view.getUint16(at + form.next, true),
    ]
    if (next <= at || isError(view, target)) break
    if (mayMatch(wanted, view, at, target)) {
      const expressions = [...conditions(family, view, at, target), ...effect(family, view, at, target, next)]
      rules.push({ place, expressions, comment: undefined, nameOf })
    }
    at = next
  }
  return rules
}

/** False for a rule that wants another address or another port, as nearly all of kube-proxy's thousands of rules do. */
function mayMatch(wanted: Wanted, view: DataView, at: number, target: number): boolean {
  const form = forms[wanted.family]
  const isNot = (view.getUint8(at + form.inverted) & inverted.destination) !== 0
  const mask = at + 3 * form.size
  let isWhole = !isNot
  for (let byte = 0; byte < form.size; byte++) if (view.getUint8(mask + byte) !== 0xff) isWhole = false
  if (isWhole) {
    const address = Buffer.from(view.buffer, view.byteOffset + at + form.size, form.size).toString('latin1')
    if (!wanted.addresses.has(address)) return false
  }
  for (let match = at + form.matches; match + headerSize <= target; ) {
    const length = view.getUint16(match, true)
    if (length < headerSize) break
    const name = text(view, match + 2)
    if (name === 'tcp' || name === 'udp') {
      const bytes = Buffer.from(view.buffer, view.byteOffset + match + headerSize, length - headerSize)
      if (isOtherXt(bytes, 0, name === 'tcp' ? 11 : 8, wanted)) return false
    }
    match += length
  }
  return true
}

/** The conditions of an entry, as expressions of nf_tables. */
function conditions(family: 4 | 6, view: DataView, at: number, target: number): SeenExpression[] {
  const form = forms[family]
  const bytes = (from: number, length: number) =>
    new Uint8Array(view.buffer, view.byteOffset + from, length).slice()
  const flags = view.getUint8(at + form.inverted)
  const { size } = form
  const network = (from: number, mask: number, offset: number, isNot: boolean) =>
    bytes(mask, size).every((byte) => byte === 0)
      ? []
      : [
          load(offset, size),
          mask === 0 ? [] : and(bytes(mask, size)),
          compare(bytes(from, size), isNot),
        ].flat()
  const steps = [
    ...network(at, at + 2 * size, layout[family].daddr - size, (flags & inverted.source) !== 0),
    ...network(at + size, at + 3 * size, layout[family].daddr, (flags & inverted.destination) !== 0),
  ]
  const name = bytes(at + form.interfaces, 16)
  if (name[0] !== 0)
    steps.push(meta(NFT_META.NFT_META_IIFNAME), ...compare(name, (flags & inverted.in) !== 0))
  const proto = view.getUint16(at + form.proto, true)
  if (proto !== 0) {
    steps.push(
      meta(NFT_META.NFT_META_L4PROTO),
      ...compare(Uint8Array.of(proto), (flags & inverted.proto) !== 0),
    )
  }
  for (let match = at + form.matches; match + headerSize <= target; ) {
    const length = view.getUint16(match, true)
    if (length < headerSize) break
    steps.push({
      NFTA_EXPR_NAME: 'match',
      NFTA_EXPR_DATA: seen.match.encode({
        NFTA_MATCH_NAME: text(view, match + 2),
        NFTA_MATCH_REV: view.getUint8(match + 31),
        NFTA_MATCH_INFO: bytes(match + headerSize, length - headerSize),
      }),
    })
    match += length
  }
  return steps
}

/** The target of an entry, as an expression of nf_tables. The standard target has an empty name, and a verdict or an offset. */
function effect(family: 4 | 6, view: DataView, at: number, target: number, next: number): SeenExpression[] {
  const name = text(view, target + 2)
  if (name !== '') {
    const info = new Uint8Array(
      view.buffer,
      view.byteOffset + target + headerSize,
      next - target - headerSize,
    )
    return [
      {
        NFTA_EXPR_NAME: 'target',
        NFTA_EXPR_DATA: seen.target.encode({
          NFTA_TARGET_NAME: name,
          NFTA_TARGET_REV: view.getUint8(target + 31),
          NFTA_TARGET_INFO: info,
        }),
      },
    ]
  }
  const code = view.getInt32(target + headerSize, true)
  // A rule without a target only counts. It leads to the next rule.
  if (code === next) return []
  if (code >= 0) {
    const isGoto = (view.getUint8(at + forms[family].flags) & forms[family].goto) !== 0
    return [verdict(isGoto ? VERDICT.NFT_GOTO : VERDICT.NFT_JUMP, String(code))]
  }
  return [verdict(code === standard.return ? VERDICT.NFT_RETURN : VERDICT.NF_ACCEPT)]
}

function text(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, Math.min(29, view.byteLength - at))
  return Buffer.from(bytes).toString('latin1').replace(/\0.*$/s, '')
}

function load(offset: number, length: number): SeenExpression {
  const data = {
    NFTA_PAYLOAD_DREG: 1,
    NFTA_PAYLOAD_BASE: 1,
    NFTA_PAYLOAD_OFFSET: offset,
    NFTA_PAYLOAD_LEN: length,
  }
  return { NFTA_EXPR_NAME: 'payload', NFTA_EXPR_DATA: seen.payload.encode(data) }
}

function meta(key: number): SeenExpression {
  return {
    NFTA_EXPR_NAME: 'meta',
    NFTA_EXPR_DATA: seen.meta.encode({ NFTA_META_DREG: 1, NFTA_META_KEY: key }),
  }
}

/** The expression of a mask; none for a mask of ones. */
function and(mask: Uint8Array): SeenExpression[] {
  if (mask.every((byte) => byte === 0xff)) return []
  const data = {
    ...{ NFTA_BITWISE_SREG: 1, NFTA_BITWISE_DREG: 1, NFTA_BITWISE_LEN: mask.length },
    NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: mask },
    NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: new Uint8Array(mask.length) },
  }
  return [{ NFTA_EXPR_NAME: 'bitwise', NFTA_EXPR_DATA: seen.bitwise.encode(data) }]
}

function compare(value: Uint8Array, isNot: boolean): SeenExpression[] {
  const operator = isNot ? NFT_CMP.NFT_CMP_NEQ : NFT_CMP.NFT_CMP_EQ
  const data = { NFTA_CMP_SREG: 1, NFTA_CMP_OP: operator, NFTA_CMP_DATA: { NFTA_DATA_VALUE: value } }
  return [{ NFTA_EXPR_NAME: 'cmp', NFTA_EXPR_DATA: seen.cmp.encode(data) }]
}

function verdict(code: number, chain?: string): SeenExpression {
  const given = {
    NFTA_VERDICT_CODE: code >>> 0,
    ...(chain === undefined ? {} : { NFTA_VERDICT_CHAIN: chain }),
  }
  const data = { NFTA_IMMEDIATE_DREG: 0, NFTA_IMMEDIATE_DATA: { NFTA_DATA_VERDICT: given } }
  return { NFTA_EXPR_NAME: 'immediate', NFTA_EXPR_DATA: seen.immediate.encode(data) }
}
