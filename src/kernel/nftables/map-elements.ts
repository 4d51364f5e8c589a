/** Elements of the host's maps (nftables/host-table.ts) as the kernel shows them: what is reserved, by whom, and how often it was used. */
import { ipFromBytes } from '../../lib/ip.ts'
import type { Message } from '../../netlink/message.ts'
import {
  commentOf,
  commentStarts,
  decodeElements,
  dumpElements,
  elementsWith,
  getElements,
  hitsOf,
  type NftElement,
} from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { PortKey, Proto } from '../../ops/op.ts'
import type { FreedKey, LoopbackPort, OpenedPort } from '../api/reservations.ts'
import { inParts } from './host-keys.ts'
import { hostTable, masquerades, ports } from './host-table.ts'
import { steered } from './steered-ports.ts'

/** The sets that every table has. */
export const plainSets: readonly string[] = [...Object.values(ports), ...Object.values(masquerades)]

/** All sets of the table: those of ports on a wire are made with the first of these. */
export const setNames: readonly string[] = [...plainSets, ...Object.values(steered)]

/** Of a reservation: what else the table has goes with these. */
const reservations: readonly string[] = Object.values(ports)

/** Cookies that begin with `prefix` (hex) of all who have something reserved. */
export function reservedCookies(socket: NetlinkSocket, prefix: string): string[] {
  const cookies = dumpSets(socket, reservations).flatMap(({ message }) => [
    ...commentStarts(message, prefix, cookieLength),
  ])
  return [...new Set(cookies)].filter((cookie) => /^[0-9a-f]+$/.test(cookie))
}

const cookieLength = 32

/** The keys of 127.0.0.0/8 that lead to pods, each with its owner's cookie and the pod's address. */
export function loopbackPorts(socket: NetlinkSocket): LoopbackPort[] {
  return elementsOf(dumpSets(socket, [ports[4]])).flatMap(({ key, comment, raw }) => {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    const target = raw.NFTA_SET_ELEM_DATA?.NFTA_DATA_VALUE
    const isLoopback = key?.address.startsWith('127.') === true
    if (!isLoopback || cookie === undefined || target === undefined || target.length < 4) return []
    return [{ cookie, toAddress: ipFromBytes(target, 0, 4) }]
  })
}

/**
 * The ports of a cookie, with what went through the host's map: each connection once, its first packet. `expected` of them
 * are there; a dump that shows fewer is repeated once, since one of a table that is resized leaves some out.
 */
export function openedPorts(socket: NetlinkSocket, cookie: string, expected: number): OpenedPort[] {
  const found = new Map<string, OpenedPort>()
  for (let look = 0; look < 2 && found.size < expected; look++) {
    for (const { set, message } of dumpSets(socket, reservations)) {
      for (const raw of elementsWith(message, cookie).found) {
        const key = keyIn(set, raw)
        if (key !== undefined && commentOf(raw).startsWith(cookie))
          found.set(keyText(key), { ...key, opened: hitsOf(raw) })
      }
    }
  }
  return [...found.values()]
}

/** One element. */
export interface Element {
  /** Set and key. */
  readonly name: string
  readonly set: string
  readonly comment: string
  /** Address, protocol and port; undefined for a key that is none of ours. */
  readonly key: FreedKey | undefined
  /** What it reserves: its key; undefined for one that says whom to masquerade, or what is steered. */
  readonly reserved: FreedKey | undefined
  readonly raw: NftElement
}

/** Without such a table, and from a kernel that has no nf_tables (EINVAL: nfnetlink knows no such subsystem). */
export const absent: readonly string[] = ['ENOENT', 'EINVAL', 'EOPNOTSUPP']

/** What a dump of one set says. */
export interface Shown {
  readonly set: string
  readonly message: Message
}

/** Sets of the table, by default every one; nothing when the table does not exist. */
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

/** So many answers stand in the receive buffer at once, each with room for more than an element. */
const keysInQuestion = 60

/**
 * The elements with these keys, in their order; undefined for one that is not there. The kernel looks up each by itself:
 * what else is in the map costs nothing.
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
    // It ends at the first one that is not there.
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

/** The elements, each once. */
export function elementsOf(shown: readonly Shown[]): Element[] {
  const all = shown.flatMap(({ set, message }) => decodeElements(message).map((raw) => elementOf(set, raw)))
  return [...new Map(all.map((one) => [one.name, one])).values()]
}

/** One element, from the bytes of its set. */
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

/** The key of a set: address, protocol and port, each in as many words of four bytes as it needs. */
function keyIn(set: string, { NFTA_SET_ELEM_KEY: key }: NftElement): FreedKey | undefined {
  const bytes = key?.NFTA_DATA_VALUE
  const size = set === ports[4] || set === masquerades[4] || set === steered[4] ? 4 : 16
  if (bytes === undefined || bytes.length < size + 8) return undefined
  const proto = protocols[bytes[size] ?? 0]
  const port = ((bytes[size + 4] ?? 0) << 8) | (bytes[size + 5] ?? 0)
  return proto === undefined ? undefined : { address: ipFromBytes(bytes, 0, size), proto, port }
}

/** A key as nft has it. */
export function keyText({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): string {
  return `${address} . ${proto} . ${port}`
}
