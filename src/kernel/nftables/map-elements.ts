/** Reads the elements of the host table's maps (nftables/host-table.ts): reserved ports, their owners, and their counters. */
import { ipFamily, ipFromBytes } from '../../lib/ip.ts'
import type { Message } from '../../netlink/message.ts'
import { countedElements } from '../../netlink/nf/counted-elements.ts'
import {
  commentOf,
  commentStarts,
  decodeElements,
  dumpElements,
  getElements,
  hitsOf,
  type NftElement,
} from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { PortKey, Proto } from '../../ops/op.ts'
import type { FreedKey, LoopbackPort, OpenedPort, OwnedPort } from '../api/reservations.ts'
import { inParts, keyOf } from './host-keys.ts'
import { hostTable, masquerades, ports } from './host-table.ts'
import { steered } from './steered-ports.ts'

/** The sets that every host table has. */
export const plainSets: readonly string[] = [...Object.values(ports), ...Object.values(masquerades)]

/** All sets of the host table. The steered sets appear with the first steered port. */
export const setNames: readonly string[] = [...plainSets, ...Object.values(steered)]

/** The maps that hold the reservations. The elements of the other sets belong to these. */
const reservations: readonly string[] = Object.values(ports)

/** The cookies of all owners of reservations, as far as they begin with `prefix` (hex). */
export function reservedCookies(socket: NetlinkSocket, prefix: string): string[] {
  const cookies = dumpSets(socket, reservations).flatMap(({ message }) => [
    ...commentStarts(message, prefix, cookieLength),
  ])
  return [...new Set(cookies)].filter((cookie) => /^[0-9a-f]+$/.test(cookie))
}

const cookieLength = 32

/** The reservations of 127.0.0.0/8, each with its owner's cookie and the pod's address. */
export function loopbackPorts(socket: NetlinkSocket): LoopbackPort[] {
  return elementsOf(dumpSets(socket, [ports[4]])).flatMap(({ key, comment, raw }) => {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    const target = raw.NFTA_SET_ELEM_DATA?.NFTA_DATA_VALUE
    const isLoopback = key?.address.startsWith('127.') === true
    if (!isLoopback || cookie === undefined || target === undefined || target.length < 4) return []
    return [{ cookie, toAddress: ipFromBytes(target, 0, 4) }]
  })
}

/** Those of `keys` that are reserved for a cookie, with their counters. The counter counts a connection once, by its first packet. */
export function openedPorts(socket: NetlinkSocket, cookie: string, keys: readonly FreedKey[]): OpenedPort[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = keys.filter(({ address }) => ipFamily(address) === family)
    return elementsByKey(socket, ports[family], own.map(keyOf)).flatMap((found) =>
      found?.reserved !== undefined && found.comment.startsWith(cookie)
        ? [{ ...found.reserved, opened: hitsOf(found.raw) }]
        : [],
    )
  })
}

/**
 * All reserved ports with their owners and counters, in one dump of each map: for whoever asks for those of many owners. A question by key
 * for each of a thousand owners takes ten times as long.
 */
export function everyOpenedPort(socket: NetlinkSocket): OwnedPort[] {
  return ([4, 6] as const).flatMap((family) =>
    dumpSets(socket, [ports[family]]).flatMap(({ set, message }) =>
      countedElements(message).flatMap(({ key, comment, hits }) => {
        const reserved = keyIn(set, { NFTA_SET_ELEM_KEY: { NFTA_DATA_VALUE: key } })
        return reserved === undefined
          ? []
          : [{ ...reserved, cookie: comment.slice(0, cookieLength), opened: hits }]
      }),
    ),
  )
}

/** One element of a set of the host table. */
export interface Element {
  /** Set and key, as a unique name. */
  readonly name: string
  readonly set: string
  readonly comment: string
  /** Address, protocol and port; undefined for a key in another form. */
  readonly key: FreedKey | undefined
  /** The key, if the element is a reservation; undefined for an element of the masquerade and steered sets. */
  readonly reserved: FreedKey | undefined
  readonly raw: NftElement
}

/** Errors without the table, and without nf_tables in the kernel (EINVAL: nfnetlink has no such subsystem). */
export const absent: readonly string[] = ['ENOENT', 'EINVAL', 'EOPNOTSUPP']

/** One message of a dump, with the name of its set. */
export interface Shown {
  readonly set: string
  readonly message: Message
}

/** Dumps sets of the host table, by default all; nothing when the table does not exist. */
export function dumpSets(socket: NetlinkSocket, sets: readonly string[] = setNames): Shown[] {
  return sets.flatMap((set) => {
    try {
      return socket.dump(dumpElements(hostTable, set)).map((message) => ({ set, message }))
    } catch (error) {
      if (error instanceof NetlinkError && absent.includes(error.code)) return []
      throw error
    }
  })
}

/** Limit of keys in one request: the answers must fit into the receive buffer together. */
const keysInQuestion = 60

/**
 * The elements with these keys, in the order of the keys; undefined for a key without an element. The kernel looks up each key, so
 * the size of the map does not matter.
 */
export function elementsByKey(
  socket: NetlinkSocket,
  set: string,
  raws: readonly NftElement[],
): (Element | undefined)[] {
  return inParts(raws, keysInQuestion).flatMap((part) => {
    const [all] = socket.batch([getElements(hostTable, set, part)])
    if (all !== undefined && !(all instanceof NetlinkError)) {
      const found = all.messages.flatMap((message) => decodeElements(message))
      return part.map((_, at) => (found[at] === undefined ? undefined : elementOf(set, found[at])))
    }
    // The kernel ends the request at the first missing element, so each key gets a request of its own.
    return socket
      .batch(part.map((raw) => getElements(hostTable, set, [raw])))
      .map((reply) => (reply instanceof NetlinkError ? nothing(reply) : shownIn(set, reply.messages)))
  })
}

function shownIn(set: string, messages: readonly Message[]): Element | undefined {
  const [raw] = messages.flatMap((message) => decodeElements(message))
  return raw === undefined ? undefined : elementOf(set, raw)
}

function nothing(error: NetlinkError): undefined {
  if (!absent.includes(error.code)) throw error
  return undefined
}

/** The elements of a dump, without duplicates. */
export function elementsOf(shown: readonly Shown[]): Element[] {
  const all = shown.flatMap(({ set, message }) => decodeElements(message).map((raw) => elementOf(set, raw)))
  return [...new Map(all.map((one) => [one.name, one])).values()]
}

/** Decodes one element of `set`. */
export function elementOf(set: string, raw: NftElement): Element {
  const name = `${set} ${raw.NFTA_SET_ELEM_KEY?.NFTA_DATA_VALUE ?? ''}`
  const key = keyIn(set, raw)
  return {
    name,
    set,
    raw,
    comment: commentOf(raw),
    key,
    reserved: reservations.includes(set) ? key : undefined,
  }
}

const protocols: Readonly<Record<number, Proto>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' }

/** Decodes a key: address, protocol and port, each padded to a multiple of 4 bytes. */
function keyIn(set: string, { NFTA_SET_ELEM_KEY: key }: NftElement): FreedKey | undefined {
  const bytes = key?.NFTA_DATA_VALUE
  const size = set === ports[4] || set === masquerades[4] || set === steered[4] ? 4 : 16
  if (bytes === undefined || bytes.length < size + 8) return undefined
  const proto = protocols[bytes[size] ?? 0]
  const port = ((bytes[size + 4] ?? 0) << 8) | (bytes[size + 5] ?? 0)
  return proto === undefined ? undefined : { address: ipFromBytes(bytes, 0, size), proto, port }
}

/** A key as nft prints it. */
export function keyText({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): string {
  return `${address} . ${proto} . ${port}`
}
