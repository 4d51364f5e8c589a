// Chains, rules and sets of other programs: linux/netfilter/nf_tables.h, nf_tables_compat.h. The part that answers "where does a packet
// to this address and port go?". A rule's expressions stay bytes, because only few of a node's rules are decoded.
import { attrs } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { be32, bytes, cstr, type Value } from '../codec/wire.ts'
import { family, type Request } from '../message.ts'
import { NFNL_SUBSYS, nfgenmsg, typeOf } from './nfnetlink.ts'
import { type NftElement, nftData, nftElements } from './tables.ts'

/** NFT_MSG_*: the lower byte of a message's type. */
export const NFT_GET = {
  NFT_MSG_GETRULE: 7,
  NFT_MSG_GETSET: 10,
  NFT_MSG_GETSETELEM: 13,
} as const
/** NFT_PAYLOAD_*, NFT_CMP_* and other numbers that are only read. */
export const NFT_SEEN = {
  NFT_META_PROTOCOL: 1,
  NFT_CMP_LT: 2,
  NFT_CMP_LTE: 3,
  NFT_CMP_GT: 4,
  NFT_CMP_GTE: 5,
  NFT_META_IIF: 4,
  NFT_FIB_RESULT_ADDRTYPE: 3,
  NFTA_FIB_F_SADDR: 1,
  NFTA_FIB_F_DADDR: 2,
  NFT_LOOKUP_F_INV: 1,
  NFT_SET_INTERVAL: 4,
  NFT_SET_ELEM_INTERVAL_END: 1,
  NFT_SET_ELEM_CATCHALL: 2,
} as const
/** Verdicts: NF_* of linux/netfilter.h and NFT_*. */
export const VERDICT = {
  NF_DROP: 0,
  NF_ACCEPT: 1,
  NFT_CONTINUE: -1,
  NFT_BREAK: -2,
  NFT_JUMP: -3,
  NFT_GOTO: -4,
  NFT_RETURN: -5,
} as const

/** NFTA_EXPR_*: its data as bytes. */
export const seenExpression = attrs('NFTA_EXPR', {
  NFTA_EXPR_NAME: [1, cstr(32)],
  NFTA_EXPR_DATA: [2, bytes()],
})
/** NFTA_RULE_* */
export const seenRule = attrs('NFTA_RULE', {
  NFTA_RULE_TABLE: [1, cstr(256)],
  NFTA_RULE_CHAIN: [2, cstr(256)],
  NFTA_RULE_EXPRESSIONS: [4, repeated('NFTA_LIST_ELEM', [1, seenExpression])],
  NFTA_RULE_USERDATA: [7, bytes()],
})
/** NFTA_HOOK_*: empty for a chain without a hook. */
export const seenHook = attrs('NFTA_HOOK', { NFTA_HOOK_HOOKNUM: [1, be32], NFTA_HOOK_PRIORITY: [2, be32] })
/** NFTA_CHAIN_* */
export const seenChain = attrs('NFTA_CHAIN', {
  NFTA_CHAIN_TABLE: [1, cstr(256)],
  NFTA_CHAIN_NAME: [3, cstr(256)],
  NFTA_CHAIN_HOOK: [4, seenHook],
  NFTA_CHAIN_TYPE: [7, cstr(16)],
})
/** NFTA_SET_FIELD_* */
export const seenField = attrs('NFTA_SET_FIELD', { NFTA_SET_FIELD_LEN: [1, be32] })
/** NFTA_SET_DESC_* */
export const seenDesc = attrs('NFTA_SET_DESC', {
  NFTA_SET_DESC_SIZE: [1, be32],
  NFTA_SET_DESC_CONCAT: [2, repeated('NFTA_LIST_ELEM', [1, seenField])],
})
/** NFTA_SET_* */
export const seenSet = attrs('NFTA_SET', {
  NFTA_SET_TABLE: [1, cstr(256)],
  NFTA_SET_NAME: [2, cstr(256)],
  NFTA_SET_FLAGS: [3, be32],
  NFTA_SET_KEY_LEN: [5, be32],
  NFTA_SET_DESC: [9, seenDesc],
})

/** Attributes of expressions, by the name of the expression. */
export const seen = {
  meta: attrs('NFTA_META', { NFTA_META_DREG: [1, be32], NFTA_META_KEY: [2, be32] }),
  payload: attrs('NFTA_PAYLOAD', {
    NFTA_PAYLOAD_DREG: [1, be32],
    NFTA_PAYLOAD_BASE: [2, be32],
    NFTA_PAYLOAD_OFFSET: [3, be32],
    NFTA_PAYLOAD_LEN: [4, be32],
  }),
  cmp: attrs('NFTA_CMP', { NFTA_CMP_SREG: [1, be32], NFTA_CMP_OP: [2, be32], NFTA_CMP_DATA: [3, nftData] }),
  range: attrs('NFTA_RANGE', {
    NFTA_RANGE_SREG: [1, be32],
    NFTA_RANGE_OP: [2, be32],
    NFTA_RANGE_FROM_DATA: [3, nftData],
    NFTA_RANGE_TO_DATA: [4, nftData],
  }),
  bitwise: attrs('NFTA_BITWISE', {
    NFTA_BITWISE_SREG: [1, be32],
    NFTA_BITWISE_DREG: [2, be32],
    NFTA_BITWISE_LEN: [3, be32],
    NFTA_BITWISE_MASK: [4, nftData],
    NFTA_BITWISE_XOR: [5, nftData],
    NFTA_BITWISE_OP: [6, be32],
  }),
  byteorder: attrs('NFTA_BYTEORDER', {
    NFTA_BYTEORDER_SREG: [1, be32],
    NFTA_BYTEORDER_DREG: [2, be32],
    NFTA_BYTEORDER_OP: [3, be32],
    NFTA_BYTEORDER_LEN: [4, be32],
    NFTA_BYTEORDER_SIZE: [5, be32],
  }),
  immediate: attrs('NFTA_IMMEDIATE', { NFTA_IMMEDIATE_DREG: [1, be32], NFTA_IMMEDIATE_DATA: [2, nftData] }),
  lookup: attrs('NFTA_LOOKUP', {
    NFTA_LOOKUP_SET: [1, cstr(256)],
    NFTA_LOOKUP_SREG: [2, be32],
    NFTA_LOOKUP_DREG: [3, be32],
    NFTA_LOOKUP_FLAGS: [5, be32],
  }),
  fib: attrs('NFTA_FIB', { NFTA_FIB_DREG: [1, be32], NFTA_FIB_RESULT: [2, be32], NFTA_FIB_FLAGS: [3, be32] }),
  nat: attrs('NFTA_NAT', {
    NFTA_NAT_TYPE: [1, be32],
    NFTA_NAT_FAMILY: [2, be32],
    NFTA_NAT_REG_ADDR_MIN: [3, be32],
    NFTA_NAT_REG_ADDR_MAX: [4, be32],
    NFTA_NAT_REG_PROTO_MIN: [5, be32],
    NFTA_NAT_REG_PROTO_MAX: [6, be32],
  }),
  redir: attrs('NFTA_REDIR', { NFTA_REDIR_REG_PROTO_MIN: [1, be32] }),
  match: attrs('NFTA_MATCH', {
    NFTA_MATCH_NAME: [1, cstr(32)],
    NFTA_MATCH_REV: [2, be32],
    NFTA_MATCH_INFO: [3, bytes()],
  }),
  target: attrs('NFTA_TARGET', {
    NFTA_TARGET_NAME: [1, cstr(32)],
    NFTA_TARGET_REV: [2, be32],
    NFTA_TARGET_INFO: [3, bytes()],
  }),
} as const

/** A chain or a set: family (NFPROTO_*), table, and name. */
export interface Place {
  readonly family: number
  readonly table: string
  readonly name: string
}

/** One expression of a rule. */
export type SeenExpression = Value<typeof seenExpression>

const chainMessage = family(nfgenmsg, seenChain)
/** The payload of a message with a rule. */
export const ruleMessage = family(nfgenmsg, seenRule)
const setMessage = family(nfgenmsg, seenSet)
const elementMessage = family(nfgenmsg, nftElements)
const nft = (message: number) => typeOf(NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES, message)

/** A listed chain, with its family. */
export function decodeChain(payload: Uint8Array): Value<typeof chainMessage> {
  return chainMessage.decode(payload)
}

/** The rules of one chain in their order; ENOENT when there is no such chain. */
export function dumpRules({ family: nfgen_family, table, name }: Place): Request {
  return ruleMessage.request('NFT_MSG_GETRULE', nft(NFT_GET.NFT_MSG_GETRULE), 0, {
    ...{ nfgen_family, NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: name },
  })
}

/** Asks for the kind of a set. */
export function getSet({ family: nfgen_family, table, name }: Place): Request {
  return setMessage.request('NFT_MSG_GETSET', nft(NFT_GET.NFT_MSG_GETSET), 0, {
    ...{ nfgen_family, NFTA_SET_TABLE: table, NFTA_SET_NAME: name },
  })
}

/** The set in the answer to {@link getSet}. */
export function decodeSet(payload: Uint8Array): Value<typeof setMessage> {
  return setMessage.decode(payload)
}

/** Asks for one element by its key, or without a key for the element of all other keys (Linux 5.13); ENOENT when the set has none. */
export function getElement(
  { family: nfgen_family, table, name }: Place,
  key: Uint8Array | undefined,
): Request {
  const element: NftElement =
    key === undefined
      ? { NFTA_SET_ELEM_FLAGS: NFT_SEEN.NFT_SET_ELEM_CATCHALL }
      : { NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: key } }
  return elementMessage.request('NFT_MSG_GETSETELEM', nft(NFT_GET.NFT_MSG_GETSETELEM), 0, {
    ...{ nfgen_family, NFTA_SET_ELEM_LIST_TABLE: table, NFTA_SET_ELEM_LIST_SET: name },
    NFTA_SET_ELEM_LIST_ELEMENTS: [element],
  })
}

/** All elements of a set. */
export function dumpSetElements({ family: nfgen_family, table, name }: Place): Request {
  return elementMessage.request('NFT_MSG_GETSETELEM', nft(NFT_GET.NFT_MSG_GETSETELEM), 0, {
    ...{ nfgen_family, NFTA_SET_ELEM_LIST_TABLE: table, NFTA_SET_ELEM_LIST_SET: name },
  })
}
