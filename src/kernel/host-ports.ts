/**
 * The host's table `inet vf-flower`: which host ports are taken and where they lead, one look-up for each new connection
 * whatever their number. Its maps are the node's reservation and the data path at once: prerouting for what the host
 * receives, output for its own programs. Only exact addresses of the node are in them, so nothing in transit is ever
 * caught. Chains are written anew with every reservation, in the same transaction: what somebody did to them ends there.
 * By netlink, without the nft program: starting that would be most of what a DEL costs.
 */
import { ipFamily, ipToBytes } from '../lib/ip.ts'
import { PortTaken } from '../lib/port-taken.ts'
import type { Request } from '../netlink/message.ts'
import { batchEnds } from '../netlink/nf/nfnetlink.ts'
import { createElements, NFT_JUMP } from '../netlink/nf/rules.ts'
import {
  deleteElements,
  deleteTable,
  dropChain,
  elementsWith,
  type NftElement,
  userdataOf,
} from '../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/socket.ts'
import type { Masquerade, PortKey, Proto } from '../ops/op.ts'
import {
  dumpSets,
  type Element,
  elementOf,
  elementsOf,
  keyText,
  reservedElements,
  setNames,
} from './host-elements.ts'
import {
  guardChain,
  guardRequests,
  hostTable,
  hostTableRequests,
  masqueradedKeys,
  masquerades,
  needGuard,
  ports,
  sourceChain,
  sourceRequests,
} from './host-table.ts'
import type { FreedKey } from './kernel.ts'
import { tolerate } from './refusals.ts'
import { steered, steeredKeys } from './steered.ts'

/** What only ports on a wire need. */
const keeping = () => require('./keeping.ts') as typeof import('./keeping.ts')

/**
 * Reserves all keys or none: elements are created, never added, in one transaction, and the kernel refuses one that
 * exists. Throws PortTaken with the owner's name.
 */
export function reservePorts(
  socket: NetlinkSocket,
  keys: readonly PortKey[],
  masquerade: readonly Masquerade[],
  owner: string,
  isSteered = false,
): void {
  const userdata = { NFTA_SET_ELEM_USERDATA: userdataOf(owner) }
  const jump = { NFTA_VERDICT_CODE: NFT_JUMP >>> 0, NFTA_VERDICT_CHAIN: sourceChain(owner) }
  const create = (set: string, elements: readonly NftElement[]) =>
    inParts(elements).map((part) => createElements(hostTable, set, part))
  const requests = ([4, 6] as const).flatMap((family) => {
    const inFamily = ({ address }: { readonly address: string }) => ipFamily(address) === family
    return [
      ...create(
        ports[family],
        keys.filter(inFamily).map((key) => ({ ...keyOf(key), ...target(key), ...userdata })),
      ),
      ...create(
        masquerades[family],
        masqueradedKeys(masquerade)
          .filter(inFamily)
          .map((key) => ({ ...keyOf(key), NFTA_SET_ELEM_DATA: { NFTA_DATA_VERDICT: jump }, ...userdata })),
      ),
      ...create(
        steered[family],
        (isSteered ? steeredKeys(keys) : []).filter(inFamily).map((key) => ({ ...keyOf(key), ...userdata })),
      ),
    ]
  })
  const kept = isSteered ? keeping().keptOffRequests(hostTable) : []
  const sources = masquerade.length > 0 ? sourceRequests(masquerade, owner) : []
  const guard = needGuard(keys) ? guardRequests() : []
  const reserve = (counted: boolean) =>
    socket.transaction(batchEnds(), [
      ...hostTableRequests(counted),
      ...guard,
      ...kept,
      ...sources,
      ...requests,
    ])
  try {
    try {
      reserve(true)
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.operation !== 'NFT_MSG_NEWSET') throw error
      reserve(false)
    }
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error
    // A dump may leave out the very one.
    const taken = findTaken(reservedElements(socket), keys) ?? findTaken(reservedElements(socket), keys)
    throw taken === undefined ? error : new PortTaken(...taken)
  }
}

/** The key of an element: each part filled up to words of four bytes. */
function keyOf({ address, proto, port }: Pick<PortKey, 'address' | 'proto' | 'port'>): NftElement {
  return { NFTA_SET_ELEM_KEY: words(ipToBytes(address), protoByte(proto), portBytes(port)) }
}

function target({ toAddress, toPort }: PortKey): NftElement {
  return { NFTA_SET_ELEM_DATA: words(ipToBytes(toAddress), portBytes(toPort)) }
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
 * again until two in a row show none, or until all of `known` was found.
 */
export function releasePorts(socket: NetlinkSocket, cookie: string, known?: Reservation): FreedKey[] {
  if (known !== undefined && releaseKnown(socket, cookie, known)) return [...known.keys]
  const expected =
    known === undefined
      ? undefined
      : known.keys.length + masqueradedKeys(known.masquerade).length + steeredOf(known).length
  const freed: FreedKey[] = []
  let removed = 0
  let quiet = 0
  for (let round = 0; round < maxRounds; round++) {
    const { own, others } = look(socket, cookie)
    if (own.length === 0) {
      if (++quiet === 2) return freed
      continue
    }
    quiet = 0
    let rest = others()
    // Before something goes that others need, one look is not enough.
    if (isLastUse(own, rest)) rest = either(rest, look(socket, cookie).others())
    if (tolerate(['ENOENT'], () => remove(socket, own, rest)) === undefined) continue
    freed.push(...own.flatMap(({ reserved }) => reserved ?? []))
    removed += own.length
    if (!rest.any || removed === expected) return freed
  }
  throw new RestlessTable(cookie)
}

/**
 * Removes what the record says, if all of it is there with the cookie: a look at the families that it has keys of is enough
 * then. Whom to masquerade was written with the keys, and goes with them. False when something else is there than the
 * record says: nothing was removed.
 */
function releaseKnown(socket: NetlinkSocket, cookie: string, known: Reservation): boolean {
  const { keys, masquerade } = known
  const families = new Set(keys.map(({ address }) => ipFamily(address)))
  const { own, others } = look(socket, cookie, [
    ...[...families].map((family) => ports[family]),
    // Of others too: the last one's chains go with it.
    ...(known.steered === true ? Object.values(steered) : []),
  ])
  const found = new Set(own.flatMap(({ reserved }) => (reserved === undefined ? [] : keyText(reserved))))
  const isWhole = own.length === keys.length + steeredOf(known).length
  if (!isWhole || !keys.every((key) => found.has(keyText(key)))) return false
  let rest = others()
  if (isLastUse(own, rest)) rest = either(rest, look(socket, cookie).others())
  const [comment = ''] = own.map((one) => one.comment)
  const masqueraded = masqueradedKeys(masquerade).map((key) => {
    const set = masquerades[ipFamily(key.address)]
    return elementOf(set, { ...keyOf(key), NFTA_SET_ELEM_USERDATA: userdataOf(comment) })
  })
  return tolerate(['ENOENT'], () => remove(socket, [...own, ...masqueraded], rest)) !== undefined
}

function either(one: Others, other: Others): Others {
  return {
    any: one.any || other.any,
    local: one.local || other.local,
    steered: one.steered || other.steered,
  }
}

/** Somebody makes elements of ours as fast as they are deleted. */
class RestlessTable extends Error {
  readonly code = 'EAGAIN'
  constructor(cookie: string) {
    super(`Cannot release the host ports with cookie ${cookie}: they keep coming back`)
    this.name = 'RestlessTable'
  }
}

/** What was reserved. */
interface Reservation {
  readonly keys: readonly PortKey[]
  readonly masquerade: readonly Masquerade[]
  readonly steered?: boolean
}

function steeredOf({ keys, steered: isSteered }: Reservation): PortKey[] {
  return isSteered === true ? steeredKeys(keys) : []
}

/** Whether others have elements, and whether they have any of 127/8, and any that is steered. */
interface Others {
  readonly any: boolean
  readonly local: boolean
  readonly steered: boolean
}

/** The elements of a cookie, each once. What others have is looked at when it is asked for. */
function look(
  socket: NetlinkSocket,
  cookie: string,
  sets?: readonly string[],
): { own: Element[]; others: () => Others } {
  const shown = dumpSets(socket, sets)
  const isMine = ({ comment }: Element) => comment.startsWith(cookie)
  const own = new Map<string, Element>()
  let any = false
  for (const { set, message } of shown) {
    const { found, hasOthers } = elementsWith(message, cookie)
    const mine = found.map((raw) => elementOf(set, raw)).filter(isMine)
    for (const one of mine) own.set(one.name, one)
    if (hasOthers || mine.length < found.length) any = true
  }
  const list = [...own.values()]
  const others = () => ({
    any,
    local: list.some(isLocal) && elementsOf(shown).some((one) => !isMine(one) && isLocal(one)),
    steered: list.some(isSteered) && elementsOf(shown).some((one) => !isMine(one) && isSteered(one)),
  })
  return { own: list, others }
}

/** Of the table, of its guard, or of what keeps connections off steered ports. */
function isLastUse(own: readonly Element[], others: Others): boolean {
  return (
    !others.any || needNoMore(own, others, isLocal, 'local') || needNoMore(own, others, isSteered, 'steered')
  )
}

/** True where these have a thing of a kind that others have none of. */
function needNoMore(
  own: readonly Element[],
  others: Others,
  isOfKind: (one: Element) => boolean,
  kind: 'local' | 'steered',
): boolean {
  return own.some(isOfKind) && !others[kind]
}

function isSteered({ set }: Element): boolean {
  return set === steered[4] || set === steered[6]
}

function isLocal({ reserved }: Element): boolean {
  return reserved?.address.startsWith('127.') === true
}

function remove(socket: NetlinkSocket, own: readonly Element[], others: Others): true {
  socket.transaction(batchEnds(), others.any ? removal(own, others) : [deleteTable(hostTable)])
  return true
}

function removal(own: readonly Element[], others: Others): Request[] {
  const requests = setNames.flatMap((set) => {
    const mine = own.filter((one) => one.set === set).map(({ raw }) => raw)
    return inParts(mine).map((part) => deleteElements(hostTable, set, part))
  })
  // A cookie's own chain goes with what leads there; of several cookies where only the beginning was asked for.
  const chains = new Set(
    own
      .filter((one) => one.reserved === undefined && !isSteered(one))
      .map(({ comment }) => sourceChain(comment)),
  )
  if (needNoMore(own, others, isLocal, 'local')) chains.add(guardChain)
  const kept = needNoMore(own, others, isSteered, 'steered') ? keeping().keptOffRemoval(hostTable) : []
  return [...requests, ...kept, ...[...chains].flatMap((chain) => dropChain(hostTable, chain))]
}

/** An attribute of netlink holds 64 KiB. */
const elementsInMessage = 200

/** The first key that somebody has, whose it is, and the cookie where it is of ours. */
function findTaken(
  present: readonly Element[],
  keys: readonly PortKey[],
): [PortKey, string, string | undefined] | undefined {
  const owners = new Map(
    present.flatMap(({ reserved, comment }) =>
      reserved === undefined ? [] : [[keyText(reserved), comment] as const],
    ),
  )
  for (const key of keys) {
    const comment = owners.get(keyText(key))
    if (comment !== undefined) return [key, ownerName(comment), /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]]
  }
  return undefined
}

/** Comments are `COOKIE CONTAINERID/IFNAME`; people need the second half, and a stranger's comment whole. */
function ownerName(comment: string): string {
  const name = /^[0-9a-f]{32} (.+)$/.exec(comment)?.[1]
  return name === undefined ? `an element with comment "${comment}"` : `container/interface "${name}"`
}
