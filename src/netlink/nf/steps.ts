import {
  NF_NAT_RANGE,
  NFT_CMP,
  NFT_DYNSET_OP,
  NFT_FIB,
  NFT_JUMP,
  NFT_NAT,
  type NftExpression,
} from './rules.ts'

/** RTN_LOCAL, linux/rtnetlink.h: an address of the node itself. */
const RTN_LOCAL = 2

/** Expressions of rules: each reads registers or the packet, and continues or ends the rule. */
export const step = {
  meta: (key: number, register: number): NftExpression => ({
    NFTA_EXPR_NAME: 'meta',
    NFTA_EXPR_DATA: { NFTA_META_KEY: key, NFTA_META_DREG: register },
  }),
  compare: (operator: number, value: Uint8Array, register = 1): NftExpression => ({
    NFTA_EXPR_NAME: 'cmp',
    NFTA_EXPR_DATA: {
      NFTA_CMP_SREG: register,
      NFTA_CMP_OP: operator,
      NFTA_CMP_DATA: { NFTA_DATA_VALUE: value },
    },
  }),
  payload: (base: number, offset: number, length: number, register: number): NftExpression => ({
    NFTA_EXPR_NAME: 'payload',
    NFTA_EXPR_DATA: {
      NFTA_PAYLOAD_DREG: register,
      NFTA_PAYLOAD_BASE: base,
      NFTA_PAYLOAD_OFFSET: offset,
      NFTA_PAYLOAD_LEN: length,
    },
  }),
  /** Looks up in a set, or with `to` in a map: `to` is the register for the data (0: the data is a verdict, which takes effect). */
  lookup: (set: string, register: number, to?: number): NftExpression => ({
    NFTA_EXPR_NAME: 'lookup',
    NFTA_EXPR_DATA: {
      NFTA_LOOKUP_SET: set,
      NFTA_LOOKUP_SREG: register,
      ...(to === undefined ? {} : { NFTA_LOOKUP_DREG: to }),
    },
  }),
  translate: (nfproto: number, address: number, port: number): NftExpression => ({
    NFTA_EXPR_NAME: 'nat',
    NFTA_EXPR_DATA: {
      NFTA_NAT_TYPE: NFT_NAT.NFT_NAT_DNAT,
      NFTA_NAT_FAMILY: nfproto,
      NFTA_NAT_REG_ADDR_MIN: address,
      NFTA_NAT_REG_PROTO_MIN: port,
    },
  }),
  /** A property of the connection; `original` asks for the direction in which the connection was opened. */
  connection: (key: number, register: number, original = false): NftExpression => ({
    NFTA_EXPR_NAME: 'ct',
    NFTA_EXPR_DATA: {
      NFTA_CT_KEY: key,
      NFTA_CT_DREG: register,
      ...(original ? { NFTA_CT_DIRECTION: 0 } : {}),
    },
  }),
  /** `mask` is in the machine's byte order, like the register. */
  mask: (mask: Uint8Array, register = 1): NftExpression => ({
    NFTA_EXPR_NAME: 'bitwise',
    NFTA_EXPR_DATA: {
      ...{ NFTA_BITWISE_SREG: register, NFTA_BITWISE_DREG: register, NFTA_BITWISE_LEN: mask.length },
      NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: mask },
      NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: new Uint8Array(mask.length) },
    },
  }),
  /** Ends the rule unless the destination is an address that the node has at this moment. */
  toNode: (register = 1): NftExpression[] => [
    {
      NFTA_EXPR_NAME: 'fib',
      NFTA_EXPR_DATA: {
        NFTA_FIB_DREG: register,
        NFTA_FIB_RESULT: NFT_FIB.NFT_FIB_RESULT_ADDRTYPE,
        NFTA_FIB_FLAGS: NFT_FIB.NFTA_FIB_F_DADDR,
      },
    },
    // The register holds a number in the machine's byte order.
    step.compare(NFT_CMP.NFT_CMP_EQ, new Uint8Array(new Uint32Array([RTN_LOCAL]).buffer), register),
  ],
  masquerade: (): NftExpression => ({ NFTA_EXPR_NAME: 'masq', NFTA_EXPR_DATA: {} }),
  /** NF_DROP is 0. */
  drop: (): NftExpression => verdict({ NFTA_VERDICT_CODE: 0 }),
  /** NF_ACCEPT is 1: the packet goes on at the next chain of the hook. */
  accept: (): NftExpression => verdict({ NFTA_VERDICT_CODE: 1 }),
  jump: (chain: string): NftExpression =>
    verdict({ NFTA_VERDICT_CODE: NFT_JUMP >>> 0, NFTA_VERDICT_CHAIN: chain }),
  /** Translates the source to the address in a register, with a random port. */
  newSource: (nfproto: number, address: number): NftExpression => ({
    NFTA_EXPR_NAME: 'nat',
    NFTA_EXPR_DATA: {
      NFTA_NAT_TYPE: NFT_NAT.NFT_NAT_SNAT,
      NFTA_NAT_FAMILY: nfproto,
      NFTA_NAT_REG_ADDR_MIN: address,
      NFTA_NAT_FLAGS: NF_NAT_RANGE.NF_NAT_RANGE_PROTO_RANDOM_FULLY,
    },
  }),
  /** Puts key and data into a map; an element that is there gets the full time of a new one. */
  update: (set: string, key: number, data: number): NftExpression => ({
    NFTA_EXPR_NAME: 'dynset',
    NFTA_EXPR_DATA: {
      NFTA_DYNSET_SET_NAME: set,
      NFTA_DYNSET_OP: NFT_DYNSET_OP.NFT_DYNSET_OP_UPDATE,
      NFTA_DYNSET_SREG_KEY: key,
      NFTA_DYNSET_SREG_DATA: data,
    },
  }),
}

function verdict(value: { NFTA_VERDICT_CODE: number; NFTA_VERDICT_CHAIN?: string }): NftExpression {
  return {
    NFTA_EXPR_NAME: 'immediate',
    NFTA_EXPR_DATA: { NFTA_IMMEDIATE_DREG: 0, NFTA_IMMEDIATE_DATA: { NFTA_DATA_VERDICT: value } },
  }
}
