/** Elements of the host's maps (host-table.ts) as the kernel shows them: what is reserved, by whom, and how often it was used. */
import { ipFromBytes } from '../lib/ip.ts'
import type { Message } from '../netlink/message.ts'
import {
  commentOf,
  commentStarts,
  decodeElements,
  dumpElements,
  elementsWith,
  hasComment,
  hitsOf,
  type NftElement,
} from '../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import type { PortKey, Proto } from '../ops/op.ts'
import { hostTable, masquerades, ports } from './host-table.ts'
import type { FreedKey } from './kernel.ts'
import { steered } from './steered.ts'

/** All sets of the table. */
export const setNames = [...Object.values(ports), ...Object.values(masquerades), ...Object.values(steered)]

/** Of a reservation: what else the table has goes with these. */
const reservations = Object.values(ports)

/** Cookies that begin with `prefix` (hex) of all who have something reserved. */
export function reservedCookies(socket: NetlinkSocket, prefix: string): string[] {
  const cookies = dumpSets(socket, reservations).flatMap(({ message }) => [
    ...commentStarts(message, prefix, cookieLength),
  ])
  return [...new Set(cookies)].filter((cookie) => /^[0-9a-f]+$/.test(cookie))
}

/** Whether anybody has something reserved whose cookie begins with `prefix`, and whether `cookie` has. */
export function reservedBy(
  socket: NetlinkSocket,
  prefix: string,
  cookie: string,
): { readonly anybody: boolean; readonly cookie: boolean } {
  const messages = dumpSets(socket, reservations).map(({ message }) => message)
  return {
    anybody: messages.some((message) => hasComment(message, prefix, cookieLength)),
    cookie: messages.some((message) => hasComment(message, cookie, cookieLength)),
  }
}

const cookieLength = 32

/** A reserved port, and how many connections were opened to it: undefined in a map that does not count. */
export interface OpenedPort extends FreedKey {
  readonly opened: bigint | undefined
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
  /** What it reserves; undefined for one that says whom to masquerade, or what is steered. */
  readonly reserved: FreedKey | undefined
  readonly raw: NftElement
}

/** Without such a table, and from a kernel that has no nf_tables (EINVAL: nfnetlink knows no such subsystem). */
const absent: ReadonlySet<string> = new Set(['ENOENT', 'EINVAL', 'EOPNOTSUPP'])

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
      if (error instanceof NetlinkError && absent.has(error.code)) return []
      throw error
    }
  })
}

/** The elements, each once. */
export function elementsOf(shown: readonly Shown[]): Element[] {
  const all = shown.flatMap(({ set, message }) => decodeElements(message).map((raw) => elementOf(set, raw)))
  return [...new Map(all.map((one) => [one.name, one])).values()]
}

/** One element, from the bytes of its set. */
export function elementOf(set: string, raw: NftElement): Element {
  const name = `${set} ${raw.NFTA_SET_ELEM_KEY?.NFTA_DATA_VALUE ?? ''}`
  return { name, set, raw, comment: commentOf(raw), reserved: keyIn(set, raw) }
}

/** All that is reserved; nothing when the table does not exist. */
export function reservedElements(socket: NetlinkSocket): Element[] {
  return elementsOf(dumpSets(socket, reservations))
}

const protocols: Readonly<Record<number, Proto>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' }

/** The key of a map: address, protocol and port, each in as many words of four bytes as it needs. */
function keyIn(set: string, { NFTA_SET_ELEM_KEY: key }: NftElement): FreedKey | undefined {
  const bytes = key?.NFTA_DATA_VALUE
  const size = set === ports[4] ? 4 : set === ports[6] ? 16 : 0
  if (bytes === undefined || size === 0 || bytes.length < size + 8) return undefined
  const proto = protocols[bytes[size] ?? 0]
  const port = ((bytes[size + 4] ?? 0) << 8) | (bytes[size + 5] ?? 0)
  return proto === undefined ? undefined : { address: ipFromBytes(bytes, 0, size), proto, port }
}

/** A key as nft has it. */
export function keyText({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): string {
  return `${address} . ${proto} . ${port}`
}
