// Tables, chains and set elements of nf_tables: linux/netfilter/nf_tables.h. The part that lists elements and deletes; rules.ts and
// nft make the objects.
import { attrs, byKind } from '../codec/attrs.ts'
import { repeated } from '../codec/lists.ts'
import { eachAttribute } from '../codec/tlv.ts'
import { be32, be64, bytes, cstr, type Value } from '../codec/wire.ts'
import { family, type Message, NLM_F, type Request } from '../message.ts'
import { NFNL_SUBSYS, NFPROTO, nfgenmsg, typeOf } from './nfnetlink.ts'

/** NFT_MSG_*: the lower byte of a message's type. */
export const NFT_MSG = {
  NFT_MSG_GETTABLE: 1,
  NFT_MSG_DELTABLE: 2,
  NFT_MSG_NEWCHAIN: 3,
  NFT_MSG_GETCHAIN: 4,
  NFT_MSG_DELCHAIN: 5,
  NFT_MSG_GETSETELEM: 13,
  NFT_MSG_DELSETELEM: 14,
} as const

/**
 * NFTA_TABLE_*. USE is the number of chains, sets and other objects in the table. No other table of the network namespace ever gets
 * the same HANDLE: a program that remembers it recognizes a table that was made anew.
 */
export const nftTable = attrs('NFTA_TABLE', {
  NFTA_TABLE_NAME: [1, cstr(256)],
  NFTA_TABLE_USE: [3, be32],
  NFTA_TABLE_HANDLE: [4, be64],
})
/** NFTA_CHAIN_* */
export const nftChain = attrs('NFTA_CHAIN', {
  NFTA_CHAIN_TABLE: [1, cstr(256)],
  NFTA_CHAIN_NAME: [3, cstr(256)],
})
/** NFTA_VERDICT_*; CODE is NF_ACCEPT, NF_DROP or NFT_*. */
export const nftVerdict = attrs('NFTA_VERDICT', {
  NFTA_VERDICT_CODE: [1, be32],
  NFTA_VERDICT_CHAIN: [2, cstr(256)],
})
/** NFTA_DATA_*: the fields of a concatenation one after the other, each padded to four bytes; or a verdict. */
export const nftData = attrs('NFTA_DATA', {
  NFTA_DATA_VALUE: [1, bytes()],
  NFTA_DATA_VERDICT: [2, nftVerdict],
})
/** NFTA_COUNTER_* */
export const nftCounter = attrs('NFTA_COUNTER', {
  NFTA_COUNTER_BYTES: [1, be64],
  NFTA_COUNTER_PACKETS: [2, be64],
})
/** NFTA_EXPR_* of an expression with a state: each element of a set has one of its own. */
export const nftStateful = attrs('NFTA_EXPR', () => ({
  NFTA_EXPR_NAME: [1, cstr(32)],
  NFTA_EXPR_DATA: [2, byKind('NFTA_EXPR_NAME', { counter: nftCounter })],
}))
/** NFTA_SET_ELEM_* */
export const nftElement = attrs('NFTA_SET_ELEM', {
  NFTA_SET_ELEM_KEY: [1, nftData],
  NFTA_SET_ELEM_DATA: [2, nftData],
  NFTA_SET_ELEM_FLAGS: [3, be32],
  NFTA_SET_ELEM_USERDATA: [6, bytes()],
  NFTA_SET_ELEM_EXPR: [7, nftStateful],
  NFTA_SET_ELEM_KEY_END: [10, nftData],
})
/** NFTA_SET_ELEM_LIST_* */
export const nftElements = attrs('NFTA_SET_ELEM_LIST', {
  NFTA_SET_ELEM_LIST_TABLE: [1, cstr(256)],
  NFTA_SET_ELEM_LIST_SET: [2, cstr(256)],
  NFTA_SET_ELEM_LIST_ELEMENTS: [3, repeated('NFTA_LIST_ELEM', [1, nftElement])],
})

const tableMessage = family(nfgenmsg, nftTable)
const chainMessage = family(nfgenmsg, nftChain)
const elementMessage = family(nfgenmsg, nftElements)

/** An element of a set or map. */
export type NftElement = Value<typeof nftElement>

const nft = (message: number) => typeOf(NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES, message)
const inet = { nfgen_family: NFPROTO.NFPROTO_INET } as const

/** Asks for one table; ENOENT when there is none. */
export function getTable(name: string): Request {
  return tableMessage.request('NFT_MSG_GETTABLE', nft(NFT_MSG.NFT_MSG_GETTABLE), 0, {
    ...inet,
    NFTA_TABLE_NAME: name,
  })
}

/** The table in the answer to {@link getTable}. */
export function decodeTable({ payload }: Message): Value<typeof nftTable> {
  return tableMessage.decode(payload)
}

/** Asks for one chain; ENOENT when there is none. */
export function getChain(table: string, name: string): Request {
  return chainMessage.request('NFT_MSG_GETCHAIN', nft(NFT_MSG.NFT_MSG_GETCHAIN), 0, {
    ...inet,
    ...{ NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name },
  })
}

/** All chains of all tables for both families. */
export function dumpChains(): Request {
  return chainMessage.request('NFT_MSG_GETCHAIN', nft(NFT_MSG.NFT_MSG_GETCHAIN), 0, inet)
}

/** The chain in a message of NFT_MSG_NEWCHAIN. */
export function decodeChain({ payload }: Message): Value<typeof nftChain> {
  return chainMessage.decode(payload)
}

/**
 * Asks for the elements with these keys: one message each, in their order. The kernel ends with ENOENT at the first key that is absent.
 */
export function getElements(table: string, set: string, elements: readonly NftElement[]): Request {
  return elementMessage.request('NFT_MSG_GETSETELEM', nft(NFT_MSG.NFT_MSG_GETSETELEM), 0, {
    ...inet,
    NFTA_SET_ELEM_LIST_TABLE: table,
    NFTA_SET_ELEM_LIST_SET: set,
    NFTA_SET_ELEM_LIST_ELEMENTS: elements.map(onlyKey),
  })
}

function onlyKey({ NFTA_SET_ELEM_KEY: key }: NftElement): NftElement {
  return key === undefined ? {} : { NFTA_SET_ELEM_KEY: key }
}

/** All elements of a set; ENOENT when the table or the set does not exist. */
export function dumpElements(table: string, set: string): Request {
  return elementMessage.request('NFT_MSG_GETSETELEM', nft(NFT_MSG.NFT_MSG_GETSETELEM), 0, {
    ...inet,
    NFTA_SET_ELEM_LIST_TABLE: table,
    NFTA_SET_ELEM_LIST_SET: set,
  })
}

/** The elements in one message of the answer. */
export function decodeElements(message: Message): readonly NftElement[] {
  return elementMessage.decode(message.payload).NFTA_SET_ELEM_LIST_ELEMENTS ?? []
}

/**
 * Calls back with key, data (nothing for a verdict) and comment of each element in one message, as strings of bytes. A table may have
 * hundreds of thousands of elements, and objects with all attributes would fill the memory.
 */
export function eachElement(
  { payload }: Message,
  visit: (key: string, data: string, comment: string) => void,
): void {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const of = nftElement.table
  const valueIn = (start: number, stop: number): string => {
    let value = ''
    eachAttribute('NFTA_DATA', payload, start, stop, (type, _flags, first, end) => {
      if (type === nftData.table.NFTA_DATA_VALUE[0]) value = bytes.toString('latin1', first, end)
    })
    return value
  }
  eachAttribute('NFTA_SET_ELEM_LIST', payload, headerSize, payload.length, (list, _flags, start, stop) => {
    if (list !== nftElements.table.NFTA_SET_ELEM_LIST_ELEMENTS[0]) return
    eachAttribute('NFTA_LIST_ELEM', payload, start, stop, (_type, _bits, first, end) => {
      let [key, data, comment] = ['', '', '']
      eachAttribute('NFTA_SET_ELEM', payload, first, end, (type, _more, from, to) => {
        if (type === of.NFTA_SET_ELEM_KEY[0]) key = valueIn(from, to)
        else if (type === of.NFTA_SET_ELEM_DATA[0]) data = valueIn(from, to)
        else if (type === of.NFTA_SET_ELEM_USERDATA[0])
          comment = commentOf({ NFTA_SET_ELEM_USERDATA: payload.subarray(from, to) })
      })
      visit(key, data, comment)
    })
  })
}

/**
 * The elements of one message that have `text` in their bytes; `hasOthers` tells whether there are others. Searching the bytes is far
 * faster than decoding, and thousands of the node's elements may belong to others.
 */
export function elementsWith(
  { payload }: Message,
  text: string,
): { readonly found: NftElement[]; readonly hasOthers: boolean } {
  const places: number[] = []
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at)
  const found: NftElement[] = []
  let hasOthers = false
  let next = 0
  eachAttribute('NFTA_SET_ELEM_LIST', payload, headerSize, payload.length, (type, _flags, start, stop) => {
    if (type !== nftElements.table.NFTA_SET_ELEM_LIST_ELEMENTS[0] || start === stop) return
    // The message has no such element: even the number of elements does not matter.
    if (places.length === 0) {
      hasOthers = true
      return
    }
    eachAttribute('NFTA_LIST_ELEM', payload, start, stop, (_type, _bits, first, end) => {
      while ((places[next] ?? end) < first) next++
      if ((places[next] ?? end) < end) found.push(nftElement.read(payload, first, end))
      else hasOthers = true
    })
  })
  return { found, hasOthers }
}

/** Size of struct nfgenmsg, in bytes. */
const headerSize = 4

/**
 * The first `length` bytes of each comment in a message that begins with `prefix`, each text once. Searches the bytes, as
 * {@link elementsWith} does. `prefix` must be ASCII.
 */
export function commentStarts({ payload }: Message, prefix: string, length: number): Set<string> {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length)
  const starts = new Set<string>()
  for (let at = commentAt(bytes, prefix, length, 0); at >= 0; at = commentAt(bytes, prefix, length, at + 1))
    starts.add(bytes.toString('latin1', at, at + length))
  return starts
}

/** The offset of the next comment that begins with `prefix`; -1 for none. */
function commentAt(bytes: Buffer, prefix: string, length: number, from: number): number {
  for (let at = bytes.indexOf(prefix, from); at >= 0; at = bytes.indexOf(prefix, at + 1)) {
    // The type of a comment, 0, and its length with the NUL are the two bytes before it.
    if (bytes[at - 2] === 0 && (bytes[at - 1] ?? 0) > length) return at
  }
  return -1
}

/** Deletes elements by the keys of a listing. At most a few hundred, because all are in one attribute. */
export function deleteElements(table: string, set: string, elements: readonly NftElement[]): Request {
  return elementMessage.request('NFT_MSG_DELSETELEM', nft(NFT_MSG.NFT_MSG_DELSETELEM), 0, {
    ...inet,
    NFTA_SET_ELEM_LIST_TABLE: table,
    NFTA_SET_ELEM_LIST_SET: set,
    NFTA_SET_ELEM_LIST_ELEMENTS: elements.map(onlyKey),
  })
}

/** Deletes a table and all objects in it; with `handle` only the table that has it. ENOENT when there is none. */
export function deleteTable(
  name: string,
  handle?: bigint,
  nfgen_family: number = NFPROTO.NFPROTO_INET,
): Request {
  return tableMessage.request('NFT_MSG_DELTABLE', nft(NFT_MSG.NFT_MSG_DELTABLE), 0, {
    nfgen_family,
    // With a handle, the kernel ignores the name.
    ...(handle === undefined ? { NFTA_TABLE_NAME: name } : { NFTA_TABLE_HANDLE: handle }),
  })
}

/** Deletes a chain with its rules if it is there: the transaction makes the chain first, so that deleting it can't fail. */
export function dropChain(table: string, name: string): Request[] {
  const chain = { ...inet, NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name }
  return [
    chainMessage.request('NFT_MSG_NEWCHAIN', nft(NFT_MSG.NFT_MSG_NEWCHAIN), NLM_F.NLM_F_CREATE, chain),
    deleteChain(table, name),
  ]
}

/** Deletes a chain with its rules; ENOENT when there is none, EBUSY when a rule leads to it. */
export function deleteChain(table: string, name: string): Request {
  return chainMessage.request('NFT_MSG_DELCHAIN', nft(NFT_MSG.NFT_MSG_DELCHAIN), 0, {
    ...inet,
    ...{ NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name },
  })
}

/** The comment of an element, in nft's form (NFTNL_UDATA_SET_ELEM_COMMENT: type, length with the NUL, text). The kernel keeps it as it is. */
export function commentOf({ NFTA_SET_ELEM_USERDATA: data }: NftElement): string {
  for (let at = 0; data !== undefined && at + 2 <= data.length; ) {
    const [type, length] = [data[at] ?? 0, data[at + 1] ?? 0]
    if (type === 0) return new TextDecoder().decode(data.subarray(at + 2, at + 2 + Math.max(length - 1, 0)))
    at += 2 + length
  }
  return ''
}

/** Number of successful look-ups of the element; undefined in a set that does not count. */
export function hitsOf({ NFTA_SET_ELEM_EXPR: state }: NftElement): bigint | undefined {
  const counter = state?.NFTA_EXPR_DATA
  return counter === undefined || counter instanceof Uint8Array ? undefined : counter.NFTA_COUNTER_PACKETS
}

/** The user data with a comment, read by {@link commentOf}: at most 253 bytes of text. */
export function userdataOf(comment: string): Uint8Array {
  const text = new TextEncoder().encode(comment)
  if (text.length > 253) throw new RangeError(`Cannot encode a comment of ${text.length} bytes: at most 253`)
  return Uint8Array.of(0, text.length + 1, ...text, 0)
}
