/**
 * The host's table `inet vf-flower`: which host ports are taken and where they lead, one look-up for each new connection
 * whatever their number. Its maps are the node's reservation and the data path at once: prerouting for what the host
 * receives, output for its own programs. Only exact addresses of the node are in them, so nothing in transit is ever
 * caught. Chains are written anew with every reservation, in the same transaction: what somebody did to them ends there.
 * By netlink, without the nft program: starting that would be most of what a DEL costs.
 */
import { type Cidr, ipFamily, ipFromBytes, ipToBytes, networkOf, parseCidr } from '../lib/ip.ts'
import { PortTaken } from '../lib/port-taken.ts'
import type { Message, Request } from '../netlink/message.ts'
import { batchEnds } from '../netlink/nf/nfnetlink.ts'
import { createElements } from '../netlink/nf/rules.ts'
import {
  commentOf,
  decodeElements,
  deleteElements,
  deleteTable,
  dropChain,
  dumpElements,
  type NftElement,
  userdataOf,
} from '../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import type { Masquerade, PortKey, Proto } from '../ops/op.ts'
import {
  guardChain,
  guardRequests,
  hostTable,
  hostTableRequests,
  masquerades,
  needGuard,
  ports,
} from './host-table.ts'
import type { FreedKey } from './kernel.ts'
import { tolerate } from './refusals.ts'

/**
 * Reserves all keys or none: elements are created, never added, in one transaction, and the kernel refuses one that
 * exists. Throws PortTaken with the owner's name.
 */
export function reservePorts(
  socket: NetlinkSocket,
  keys: readonly PortKey[],
  masquerade: readonly Masquerade[],
  owner: string,
): void {
  const userdata = { NFTA_SET_ELEM_USERDATA: userdataOf(owner) }
  const requests = ([4, 6] as const).flatMap((family) => [
    ...inParts(
      keys
        .filter((key) => ipFamily(key.address) === family)
        .map((key) => ({ ...reservation(key), ...userdata })),
    ).map((part) => createElements(hostTable, ports[family], part)),
    ...inParts(
      masquerade
        .filter((one) => ipFamily(one.address) === family)
        .map((one) => ({ ...sources(one), ...userdata })),
    ).map((part) => createElements(hostTable, masquerades[family], part)),
  ])
  const guard = needGuard(keys) ? guardRequests() : []
  try {
    socket.transaction(batchEnds(), [...hostTableRequests(), ...guard, ...requests])
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error
    // A dump may leave out the very one.
    const taken = findTaken(elements(socket), keys) ?? findTaken(elements(socket), keys)
    throw taken === undefined ? error : new PortTaken(...taken)
  }
}

/** An element of a map: the key and where it leads, each part filled up to words of four bytes. */
function reservation({ address, proto, port, toAddress, toPort }: PortKey): NftElement {
  return {
    NFTA_SET_ELEM_KEY: words(ipToBytes(address), protoByte(proto), portBytes(port)),
    NFTA_SET_ELEM_DATA: words(ipToBytes(toAddress), portBytes(toPort)),
  }
}

/** An element of a set: the range of sources, each other part being a range of one. */
function sources({ source, address, proto, port }: Masquerade): NftElement {
  const [first, last] = rangeOf(parseCidr(source))
  const rest = [ipToBytes(address), protoByte(proto), portBytes(port)]
  return { NFTA_SET_ELEM_KEY: words(first, ...rest), NFTA_SET_ELEM_KEY_END: words(last, ...rest) }
}

function rangeOf({ ip, prefix }: Cidr): readonly [Uint8Array, Uint8Array] {
  const first = ipToBytes(networkOf({ ip, prefix }).ip)
  const last = first.map((byte, at) => byte | (0xff >> Math.min(Math.max(prefix - at * 8, 0), 8)))
  return [first, last]
}

function words(...parts: readonly Uint8Array[]): { readonly NFTA_DATA_VALUE: Uint8Array } {
  const bytes = parts.flatMap((part) => [...part, ...Array<number>((4 - (part.length % 4)) % 4).fill(0)])
  return { NFTA_DATA_VALUE: Uint8Array.from(bytes) }
}

function protoByte(proto: Proto): Uint8Array {
  return Uint8Array.of({ tcp: 6, udp: 17, sctp: 132 }[proto])
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}

function inParts<T>(list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / elementsInMessage) }, (_, part) =>
    list.slice(part * elementsInMessage, (part + 1) * elementsInMessage),
  )
}

/** Rounds of dump and delete before giving up on a table that never comes to rest. */
const maxRounds = 20

/**
 * Removes all elements whose comment starts with `cookie`, and the table with the last reservation. Returns the keys that
 * were reserved. A dump of a hash table that the kernel resizes meanwhile shows elements twice or not at all: it is asked
 * again until two in a row show none.
 */
export function releasePorts(socket: NetlinkSocket, cookie: string): FreedKey[] {
  const isMine = ({ comment }: Element) => comment.startsWith(cookie)
  const freed: FreedKey[] = []
  let quiet = 0
  for (let round = 0; round < maxRounds; round++) {
    const shown = dumpSets(socket)
    // A look at the bytes tells without decoding what hundreds of pods have.
    const own = shown.some(({ message }) => holds(message, cookie)) ? elementsOf(shown).filter(isMine) : []
    if (own.length === 0) {
      if (++quiet === 2) return freed
      continue
    }
    quiet = 0
    const others = elementsOf(shown).filter((one) => !isMine(one))
    // Before something goes that others need, one look is not enough.
    if (isLastUse(own, others)) others.push(...elements(socket).filter((one) => !isMine(one)))
    if (tolerate(['ENOENT'], () => remove(socket, own, others)) === undefined) continue
    freed.push(...own.flatMap(({ reserved }) => reserved ?? []))
    if (others.length === 0) return freed
  }
  throw new RestlessTable(cookie)
}

/** Somebody makes elements of ours as fast as they are deleted. */
class RestlessTable extends Error {
  readonly code = 'EAGAIN'
  constructor(cookie: string) {
    super(`Cannot release the host ports with cookie ${cookie}: they keep coming back`)
    this.name = 'RestlessTable'
  }
}

function holds({ payload }: Message, text: string): boolean {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length).includes(text)
}

/** Cookies that begin with `prefix` (hex) of all who have something reserved. */
export function reservedCookies(socket: NetlinkSocket, prefix: string): string[] {
  const cookies = elements(socket).map(({ comment }) => comment.split(' ')[0] ?? '')
  return [...new Set(cookies)].filter((cookie) => cookie.length === 32 && cookie.startsWith(prefix))
}

/** Of the table, or of its guard. */
function isLastUse(own: readonly Element[], others: readonly Element[]): boolean {
  return others.length === 0 || (own.some(isLocal) && !others.some(isLocal))
}

function isLocal({ reserved }: Element): boolean {
  return reserved?.address.startsWith('127.') === true
}

function remove(socket: NetlinkSocket, own: readonly Element[], others: readonly Element[]): true {
  socket.transaction(batchEnds(), others.length === 0 ? [deleteTable(hostTable)] : removal(own, others))
  return true
}

function removal(own: readonly Element[], others: readonly Element[]): Request[] {
  const requests = setNames.flatMap((set) => {
    const mine = own.filter((one) => one.set === set).map(({ raw }) => raw)
    return inParts(mine).map((part) => deleteElements(hostTable, set, part))
  })
  return isLastUse(own, others) ? [...requests, ...dropChain(hostTable, guardChain)] : requests
}

/** An attribute of netlink holds 64 KiB. */
const elementsInMessage = 200
const setNames = [...Object.values(ports), ...Object.values(masquerades)]

interface Element {
  readonly set: string
  readonly comment: string
  /** What it reserves; undefined for one that says whom to masquerade. */
  readonly reserved: FreedKey | undefined
  readonly raw: NftElement
}

/** Without such a table, and from a kernel that has no nf_tables (EINVAL: nfnetlink knows no such subsystem). */
const absent: ReadonlySet<string> = new Set(['ENOENT', 'EINVAL', 'EOPNOTSUPP'])

/** What a dump of one set says. */
interface Shown {
  readonly set: string
  readonly message: Message
}

/** Every set of the table; nothing when the table does not exist. */
function dumpSets(socket: NetlinkSocket): Shown[] {
  return setNames.flatMap((set) => {
    try {
      return socket.dump(dumpElements(hostTable, set)).map((message) => ({ set, message }))
    } catch (error) {
      if (error instanceof NetlinkError && absent.has(error.code)) return []
      throw error
    }
  })
}

/** The elements, each once. */
function elementsOf(shown: readonly Shown[]): Element[] {
  const found = new Map<string, Element>()
  for (const { set, message } of shown) {
    for (const raw of decodeElements(message)) {
      const { NFTA_SET_ELEM_KEY: key, NFTA_SET_ELEM_KEY_END: end } = raw
      const name = [set, key?.NFTA_DATA_VALUE ?? '', end?.NFTA_DATA_VALUE ?? ''].join(' ')
      found.set(name, { set, raw, comment: commentOf(raw), reserved: reservedBy(set, raw) })
    }
  }
  return [...found.values()]
}

/** Every element of the table; none when the table does not exist. */
function elements(socket: NetlinkSocket): Element[] {
  return elementsOf(dumpSets(socket))
}

const protocols: Readonly<Record<number, Proto>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' }

/** The key of a map: address, protocol and port, each in as many words of four bytes as it needs. */
function reservedBy(set: string, { NFTA_SET_ELEM_KEY: key }: NftElement): FreedKey | undefined {
  const bytes = key?.NFTA_DATA_VALUE
  const size = set === ports[4] ? 4 : set === ports[6] ? 16 : 0
  if (bytes === undefined || size === 0 || bytes.length < size + 8) return undefined
  const proto = protocols[bytes[size] ?? 0]
  const port = ((bytes[size + 4] ?? 0) << 8) | (bytes[size + 5] ?? 0)
  return proto === undefined ? undefined : { address: ipFromBytes(bytes, 0, size), proto, port }
}

function findTaken(present: readonly Element[], keys: readonly PortKey[]): [PortKey, string] | undefined {
  const byKey = new Map(
    present.flatMap(({ reserved, comment }) =>
      reserved === undefined ? [] : [[keyText(reserved), comment] as const],
    ),
  )
  for (const key of keys) {
    const comment = byKey.get(keyText(key))
    if (comment !== undefined) return [key, ownerName(comment)]
  }
  return undefined
}

/** Comments are `COOKIE CONTAINERID/IFNAME`; people need the second half, and a stranger's comment whole. */
function ownerName(comment: string): string {
  const name = /^[0-9a-f]{32} (.+)$/.exec(comment)?.[1]
  return name === undefined ? `an element with comment "${comment}"` : `container/interface "${name}"`
}

function keyText({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): string {
  return `${address} . ${proto} . ${port}`
}
