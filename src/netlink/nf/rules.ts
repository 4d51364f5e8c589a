// Makes tables, chains, sets and rules of nf_tables: linux/netfilter/nf_tables.h. A rule is a list of expressions that
// work on registers. The expressions here translate and masquerade by look-up.
import { attrs, byKind } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { be32, be64, cstr, u8, type Value } from '../codec/wire.ts'
import { family, type Message, NLM_F, type Request } from '../message.ts'
import { NFNL_SUBSYS, NFPROTO, nfgenmsg, typeOf } from './nfnetlink.ts'
import { type NftElement, nftData, nftElements, nftStateful, nftTable } from './tables.ts'

/** NFT_MSG_*: the lower byte of a message's type. */
export const NFT_NEW = {
  NFT_MSG_NEWTABLE: 0,
  NFT_MSG_NEWCHAIN: 3,
  NFT_MSG_NEWRULE: 6,
  NFT_MSG_DELRULE: 8,
  NFT_MSG_NEWSET: 9,
  NFT_MSG_NEWSETELEM: 12,
} as const
/** NFT_SET_* */
export const NFT_SET = { NFT_SET_MAP: 8, NFT_SET_TIMEOUT: 16, NFT_SET_EVAL: 32 } as const
/** NFT_DATA_VERDICT: the type of the data in a map of verdicts. */
export const NFT_DATA_VERDICT = 0xffffff00
/** NFT_JUMP: the verdict that continues in another chain. */
export const NFT_JUMP = -3
/** NFT_META_* */
export const NFT_META = {
  NFT_META_IIFNAME: 6,
  NFT_META_OIFNAME: 7,
  NFT_META_NFPROTO: 15,
  NFT_META_L4PROTO: 16,
  NFT_META_IIFKIND: 26,
} as const
/** NFT_CT_* */
export const NFT_CT = {
  NFT_CT_STATUS: 2,
  NFT_CT_PROTO_SRC: 11,
  NFT_CT_PROTO_DST: 12,
  NFT_CT_SRC_IP: 19,
  NFT_CT_DST_IP: 20,
  NFT_CT_SRC_IP6: 21,
  NFT_CT_DST_IP6: 22,
} as const
/** NFT_CMP_* */
export const NFT_CMP = { NFT_CMP_EQ: 0, NFT_CMP_NEQ: 1 } as const
/** NFT_PAYLOAD_* */
export const NFT_PAYLOAD = { NFT_PAYLOAD_NETWORK_HEADER: 1, NFT_PAYLOAD_TRANSPORT_HEADER: 2 } as const
/** NFT_NAT_* */
export const NFT_NAT = { NFT_NAT_SNAT: 0, NFT_NAT_DNAT: 1 } as const
/** NFT_FIB_RESULT_*, NFTA_FIB_F_* */
export const NFT_FIB = { NFT_FIB_RESULT_ADDRTYPE: 3, NFTA_FIB_F_DADDR: 2 } as const
/** NFT_DYNSET_OP_* */
export const NFT_DYNSET_OP = { NFT_DYNSET_OP_UPDATE: 1 } as const
/** NF_NAT_RANGE_*, linux/netfilter/nf_nat.h. */
export const NF_NAT_RANGE = { NF_NAT_RANGE_PROTO_RANDOM_FULLY: 16 } as const
/** NF_INET_*, linux/netfilter.h. */
export const NF_INET = { NF_INET_PRE_ROUTING: 0, NF_INET_LOCAL_OUT: 3, NF_INET_POST_ROUTING: 4 } as const

/** Attributes of expressions, by the name of the expression. Registers are NFT_REG_* and NFT_REG32_*. */
const expressions = {
  meta: attrs('NFTA_META', { NFTA_META_DREG: [1, be32], NFTA_META_KEY: [2, be32] }),
  cmp: attrs('NFTA_CMP', { NFTA_CMP_SREG: [1, be32], NFTA_CMP_OP: [2, be32], NFTA_CMP_DATA: [3, nftData] }),
  payload: attrs('NFTA_PAYLOAD', {
    NFTA_PAYLOAD_DREG: [1, be32],
    NFTA_PAYLOAD_BASE: [2, be32],
    NFTA_PAYLOAD_OFFSET: [3, be32],
    NFTA_PAYLOAD_LEN: [4, be32],
  }),
  lookup: attrs('NFTA_LOOKUP', {
    NFTA_LOOKUP_SET: [1, cstr(256)],
    NFTA_LOOKUP_SREG: [2, be32],
    NFTA_LOOKUP_DREG: [3, be32],
  }),
  nat: attrs('NFTA_NAT', {
    NFTA_NAT_TYPE: [1, be32],
    NFTA_NAT_FAMILY: [2, be32],
    NFTA_NAT_REG_ADDR_MIN: [3, be32],
    NFTA_NAT_REG_ADDR_MAX: [4, be32],
    NFTA_NAT_REG_PROTO_MIN: [5, be32],
    NFTA_NAT_REG_PROTO_MAX: [6, be32],
    NFTA_NAT_FLAGS: [7, be32],
  }),
  ct: attrs('NFTA_CT', { NFTA_CT_DREG: [1, be32], NFTA_CT_KEY: [2, be32], NFTA_CT_DIRECTION: [3, u8] }),
  bitwise: attrs('NFTA_BITWISE', {
    NFTA_BITWISE_SREG: [1, be32],
    NFTA_BITWISE_DREG: [2, be32],
    NFTA_BITWISE_LEN: [3, be32],
    NFTA_BITWISE_MASK: [4, nftData],
    NFTA_BITWISE_XOR: [5, nftData],
  }),
  dynset: attrs('NFTA_DYNSET', {
    NFTA_DYNSET_SET_NAME: [1, cstr(256)],
    NFTA_DYNSET_OP: [3, be32],
    NFTA_DYNSET_SREG_KEY: [4, be32],
    NFTA_DYNSET_SREG_DATA: [5, be32],
  }),
  masq: attrs('NFTA_MASQ', { NFTA_MASQ_FLAGS: [1, be32] }),
  fib: attrs('NFTA_FIB', {
    NFTA_FIB_DREG: [1, be32],
    NFTA_FIB_RESULT: [2, be32],
    NFTA_FIB_FLAGS: [3, be32],
  }),
  immediate: attrs('NFTA_IMMEDIATE', { NFTA_IMMEDIATE_DREG: [1, be32], NFTA_IMMEDIATE_DATA: [2, nftData] }),
} as const

/** NFTA_EXPR_* */
export const nftExpression = attrs('NFTA_EXPR', () => ({
  NFTA_EXPR_NAME: [1, cstr(32)],
  NFTA_EXPR_DATA: [2, byKind('NFTA_EXPR_NAME', expressions)],
}))
/** One step of a rule. */
export type NftExpression = Value<typeof nftExpression>

/** NFTA_RULE_* */
export const nftRule = attrs('NFTA_RULE', () => ({
  NFTA_RULE_TABLE: [1, cstr(256)],
  NFTA_RULE_CHAIN: [2, cstr(256)],
  NFTA_RULE_EXPRESSIONS: [4, repeated('NFTA_LIST_ELEM', [1, nftExpression])],
}))
/** NFTA_HOOK_* */
export const nftHook = attrs('NFTA_HOOK', { NFTA_HOOK_HOOKNUM: [1, be32], NFTA_HOOK_PRIORITY: [2, be32] })
/** NFTA_CHAIN_* of a chain on a hook. */
export const nftBaseChain = attrs('NFTA_CHAIN', () => ({
  NFTA_CHAIN_TABLE: [1, cstr(256)],
  NFTA_CHAIN_NAME: [3, cstr(256)],
  NFTA_CHAIN_HOOK: [4, nftHook],
  NFTA_CHAIN_TYPE: [7, cstr(16)],
}))
/** NFTA_SET_DESC_* */
export const nftSetDesc = attrs('NFTA_SET_DESC', { NFTA_SET_DESC_SIZE: [1, be32] })
/** NFTA_SET_*. Types are numbers of nft's own (src/datatype.c), six bits for each part of a concatenation. */
export const nftSet = attrs('NFTA_SET', () => ({
  NFTA_SET_TABLE: [1, cstr(256)],
  NFTA_SET_NAME: [2, cstr(256)],
  NFTA_SET_FLAGS: [3, be32],
  NFTA_SET_KEY_TYPE: [4, be32],
  NFTA_SET_KEY_LEN: [5, be32],
  NFTA_SET_DATA_TYPE: [6, be32],
  NFTA_SET_DATA_LEN: [7, be32],
  NFTA_SET_DESC: [9, nftSetDesc],
  NFTA_SET_ID: [10, be32],
  /** Milliseconds that an element stays. */
  NFTA_SET_TIMEOUT: [11, be64],
  NFTA_SET_EXPR: [17, nftStateful],
}))
/** A set or map to make. */
export type NftSet = Value<typeof nftSet>

const tableMessage = family(nfgenmsg, nftTable)
const chainMessage = family(nfgenmsg, nftBaseChain)
const ruleMessage = family(nfgenmsg, nftRule)
const setMessage = family(nfgenmsg, nftSet)
const elementMessage = family(nfgenmsg, nftElements)
const nft = (message: number) => typeOf(NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES, message)
const inet = { nfgen_family: NFPROTO.NFPROTO_INET } as const
const { NLM_F_CREATE: CREATE, NLM_F_EXCL: EXCL, NLM_F_APPEND: APPEND } = NLM_F

/** Makes a table, or keeps one that is there. */
export function newTable(name: string): Request {
  return tableMessage.request('NFT_MSG_NEWTABLE', nft(NFT_NEW.NFT_MSG_NEWTABLE), CREATE, {
    ...inet,
    NFTA_TABLE_NAME: name,
  })
}

/** Makes a table and makes the kernel report it with its handle; EEXIST when it is there. */
export function createTable(name: string): Request {
  const flags = CREATE | EXCL | NLM_F.NLM_F_ECHO
  return tableMessage.request('NFT_MSG_NEWTABLE', nft(NFT_NEW.NFT_MSG_NEWTABLE), flags, {
    ...inet,
    NFTA_TABLE_NAME: name,
  })
}

/** Makes a set or map, or keeps one of the same kind that is there. */
export function newSet(set: NftSet): Request {
  return setMessage.request('NFT_MSG_NEWSET', nft(NFT_NEW.NFT_MSG_NEWSET), CREATE, { ...inet, ...set })
}

/** Makes a chain on a hook (NF_INET_*), or empties one that is there. `priority` may be negative. */
export function freshChain(
  table: string,
  name: string,
  {
    type,
    hook,
    priority,
  }: { readonly type: 'nat' | 'filter'; readonly hook: number; readonly priority: number },
): Request[] {
  return [
    chainMessage.request('NFT_MSG_NEWCHAIN', nft(NFT_NEW.NFT_MSG_NEWCHAIN), CREATE, {
      ...inet,
      ...{ NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name, NFTA_CHAIN_TYPE: type },
      NFTA_CHAIN_HOOK: { NFTA_HOOK_HOOKNUM: hook, NFTA_HOOK_PRIORITY: priority >>> 0 },
    }),
    flushChain(table, name),
  ]
}

/** Makes a chain that others jump to, or empties one that is there. */
export function emptyChain(table: string, name: string): Request[] {
  return [newChain(table, name), flushChain(table, name)]
}

/** Makes a chain that others jump to, or keeps one that is there. */
export function newChain(table: string, name: string): Request {
  return chainMessage.request('NFT_MSG_NEWCHAIN', nft(NFT_NEW.NFT_MSG_NEWCHAIN), CREATE, {
    ...inet,
    ...{ NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name },
  })
}

function flushChain(table: string, name: string): Request {
  return ruleMessage.request('NFT_MSG_DELRULE', nft(NFT_NEW.NFT_MSG_DELRULE), 0, {
    ...inet,
    ...{ NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: name },
  })
}

/** Adds a rule at the end of a chain. */
export function newRule(table: string, chain: string, steps: readonly NftExpression[]): Request {
  return ruleMessage.request('NFT_MSG_NEWRULE', nft(NFT_NEW.NFT_MSG_NEWRULE), CREATE | APPEND, {
    ...inet,
    ...{ NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: chain, NFTA_RULE_EXPRESSIONS: steps },
  })
}

/** The chain on a hook, or without one, that a message makes or lists. */
export function decodeChainOf({ payload }: Pick<Message, 'payload'>): Value<typeof chainMessage> {
  return chainMessage.decode(payload)
}

/** The rule that a message makes or lists. */
export function decodeRuleOf({ payload }: Pick<Message, 'payload'>): Value<typeof ruleMessage> {
  return ruleMessage.decode(payload)
}

/** Creates elements; EEXIST when the set has one of their keys. At most a few hundred, because all are in one attribute. */
export function createElements(table: string, set: string, elements: readonly NftElement[]): Request {
  return elementMessage.request('NFT_MSG_NEWSETELEM', nft(NFT_NEW.NFT_MSG_NEWSETELEM), CREATE | EXCL, {
    ...inet,
    NFTA_SET_ELEM_LIST_TABLE: table,
    NFTA_SET_ELEM_LIST_SET: set,
    NFTA_SET_ELEM_LIST_ELEMENTS: elements,
  })
}
