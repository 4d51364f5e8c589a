/** Reads the elements of a map as far as their keys, comments and counters: a node's ports are thousands, and objects with all attributes cost. */
import { eachAttribute } from '../codec/tlv.ts'
import type { Message } from '../message.ts'
import { nfgenmsg } from './nfnetlink.ts'
import { commentOf, nftCounter, nftData, nftElement, nftElements, nftStateful } from './tables.ts'

/** An element of a map that may count. */
export interface CountedElement {
  /** The bytes of its key; a view into the message. */
  readonly key: Uint8Array
  readonly comment: string
  /** Number of successful look-ups; undefined in a map that does not count. */
  readonly hits: bigint | undefined
}

/** The elements with a key in one message of a dump. @throws RangeError for attributes that no kernel writes so */
export function countedElements({ payload }: Message): CountedElement[] {
  const found: CountedElement[] = []
  const of = nftElement.table
  eachAttribute('NFTA_SET_ELEM_LIST', payload, nfgenmsg.size, payload.length, (list, _, start, stop) => {
    if (list !== nftElements.table.NFTA_SET_ELEM_LIST_ELEMENTS[0]) return
    eachAttribute('NFTA_LIST_ELEM', payload, start, stop, (_type, _flags, first, end) => {
      let key: Uint8Array | undefined
      let [comment, hits]: [string, bigint | undefined] = ['', undefined]
      eachAttribute('NFTA_SET_ELEM', payload, first, end, (type, _bits, from, to) => {
        if (type === of.NFTA_SET_ELEM_KEY[0])
          key = within(payload, from, to, nftData.table.NFTA_DATA_VALUE[0])
        else if (type === of.NFTA_SET_ELEM_USERDATA[0])
          comment = commentOf({ NFTA_SET_ELEM_USERDATA: payload.subarray(from, to) })
        else if (type === of.NFTA_SET_ELEM_EXPR[0]) hits = hitsIn(payload, from, to)
      })
      if (key !== undefined) found.push({ key, comment, hits })
    })
  })
  return found
}

/** Maps of ours have no other state than a counter. */
function hitsIn(payload: Uint8Array, start: number, stop: number): bigint | undefined {
  const data = within(payload, start, stop, nftStateful.table.NFTA_EXPR_DATA[0])
  const packets = data && within(data, 0, data.length, nftCounter.table.NFTA_COUNTER_PACKETS[0])
  if (packets === undefined || packets.length < 8) return undefined
  return new DataView(packets.buffer, packets.byteOffset, 8).getBigUint64(0)
}

/** The payload of the attribute with this number in bytes[start, stop). */
function within(bytes: Uint8Array, start: number, stop: number, wanted: number): Uint8Array | undefined {
  let found: Uint8Array | undefined
  eachAttribute('NFTA', bytes, start, stop, (type, _, from, to) => {
    if (type === wanted) found = bytes.subarray(from, to)
  })
  return found
}
