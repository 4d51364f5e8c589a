/**
 * The host's table `inet vf-flower`: which host ports are taken and where they lead, one look-up for each new connection
 * whatever their number. Its maps are the node's reservation and the data path at once: prerouting for what the host
 * receives, output for its own programs. Only exact addresses of the node are in them, so nothing in transit is ever
 * caught. Chains are written anew with every reservation, in the same transaction: what somebody did to them ends there.
 * By netlink, without the nft program: starting that would be most of what a DEL costs. Nothing that is asked for by its key
 * takes longer when others have more: a node may have hundreds of thousands of elements.
 */
import { ipFamily } from '../../lib/ip.ts'
import type { Request } from '../../netlink/message.ts'
import { batchEnds } from '../../netlink/nf/nfnetlink.ts'
import { createElements, createTable, newTable } from '../../netlink/nf/rules.ts'
import {
  decodeChain,
  decodeTable,
  deleteChain,
  deleteElements,
  deleteTable,
  dropChain,
  dumpChains,
  elementsWith,
  getChain,
  getTable,
  userdataOf,
} from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../../netlink/socket.ts'
import type { PortKey } from '../../ops/op.ts'
import { PortTaken } from '../../ops/port-taken.ts'
import type { FreedKey, PortTable, Released, Reserved } from '../api/reservations.ts'
import { tolerate } from '../errors.ts'
import { elementsOfReservation, inParts, keyOf, type Reservation, steeredOf } from './host-keys.ts'
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
  sourcePrefix,
  sourceRequests,
} from './host-table.ts'
import {
  absent,
  dumpSets,
  type Element,
  elementOf,
  elementsByKey,
  elementsOf,
  keyText,
  plainSets,
  setNames,
} from './map-elements.ts'
import { steered } from './steered-ports.ts'

/** What only ports on a wire need. */
const keeping = () => require('../lazy-own-connections.ts') as typeof import('../lazy-own-connections.ts')

/** The table as it is at this moment; undefined when there is none. */
export function portTable(socket: NetlinkSocket): PortTable | undefined {
  const answer = ask(() => socket.request(getTable(hostTable)).echo)
  return answer === undefined ? undefined : facts(decodeTable(answer))
}

function facts({ NFTA_TABLE_HANDLE: handle = 0n, NFTA_TABLE_USE: use = 0 }: TableAttributes): PortTable {
  return { handle, use }
}

type TableAttributes = ReturnType<typeof decodeTable>

/** Handle of a table that a transaction has made. */
export function handleIn(replies: readonly Reply[]): bigint | undefined {
  const echo = replies[0]?.echo
  return echo === undefined ? undefined : facts(decodeTable(echo)).handle
}

/** True when the owner with this cookie (32 hexadecimal digits) has something reserved. */
export function hasReservation(socket: NetlinkSocket, cookie: string): boolean {
  return ask(() => socket.request(getChain(hostTable, sourceChain(cookie)))) !== undefined
}

function ask<T>(question: () => T): T | undefined {
  return tolerate(absent, question)
}

/**
 * Reserves all keys or none: elements are created, never added, in one transaction, and the kernel refuses one that
 * exists. `table` is what the caller knows of the table: where it is otherwise by now, as after a flush of the node's rules,
 * nothing is done and `changed` has the refusal. Throws PortTaken with the owner's name.
 */
export function reservePorts(
  socket: NetlinkSocket,
  reservation: Reservation,
  table: 'absent' | 'present' | 'unknown' = 'unknown',
): Reserved {
  const { keys } = reservation
  const create = elementsOfReservation(reservation).flatMap(([set, elements]) =>
    inParts(elements).map((part) => createElements(hostTable, set, part)),
  )
  const first = { absent: [createTable(hostTable)], present: [], unknown: [newTable(hostTable)] }[table]
  const chains = [...sharedRequests([reservation]), ...ownerRequests(reservation)]
  try {
    const replies = inTable(socket, (counted) => [
      ...first,
      ...hostTableRequests(counted),
      ...chains,
      ...create,
    ])
    return { made: table === 'absent' ? handleIn(replies) : undefined }
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error
    if (error.code === 'EEXIST' && error.operation === 'NFT_MSG_NEWSETELEM') {
      const taken = findTaken(socket, keys)
      if (taken !== undefined) throw taken
    } else if (!isOtherTable(error)) throw error
    // Whoever has made an element without the lock, or flushed the rules since, is to be looked at anew.
    if (table === 'unknown') throw error
    return { changed: error }
  }
}

/** The table that a transaction spoke of is gone, or one is there that it wanted to make. */
export function isOtherTable(error: unknown): boolean {
  if (!(error instanceof NetlinkError)) return false
  return error.code === 'ENOENT' || (error.code === 'EEXIST' && error.operation === 'NFT_MSG_NEWTABLE')
}

/** Sends a transaction that writes the table's sets and chains; maps that are there as earlier versions made them stay so. */
export function inTable(socket: NetlinkSocket, requests: (counted: boolean) => Request[]): Reply[] {
  const send = (counted: boolean) => socket.transaction(batchEnds(), requests(counted))
  try {
    return send(true)
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.operation !== 'NFT_MSG_NEWSET' || error.code !== 'EEXIST')
      throw error
    return send(false)
  }
}

/** Makes what only some reservations need: the guard, and what keeps the node's own connections off steered ports. */
export function sharedRequests(reservations: readonly Reservation[]): Request[] {
  return [
    ...(reservations.some(({ keys }) => needGuard(keys)) ? guardRequests() : []),
    ...(reservations.some((one) => one.steered === true) ? keeping().keptOffRequests(hostTable) : []),
  ]
}

/** Makes an owner's chain, which tells by its name alone that the owner has something reserved. */
export function ownerRequests({ masquerade, owner }: Reservation): Request[] {
  return sourceRequests(masquerade, owner)
}

/** Rounds of dump and delete before giving up on a table that never comes to rest. */
const maxRounds = 20

/**
 * Removes all elements whose comment starts with `cookie`, and the table with the last reservation. Returns the keys that
 * were reserved. A dump of a hash table that the kernel resizes meanwhile shows elements twice or not at all: it is asked
 * again until two in a row show none, or until all of `known` was found. `table`: the table, which is known to hold every
 * reservation; `incomplete`: others may have lost theirs, so that it stays even where it is empty.
 */
export function releasePorts(
  socket: NetlinkSocket,
  cookie: string,
  known?: Omit<Reservation, 'owner'>,
  table: PortTable | 'incomplete' | 'unknown' = 'unknown',
): Released {
  const isWhole = typeof table === 'object'
  const release = new Release(socket, cookie, table)
  const isAmongMany = isWhole && isCrowded(table)
  if (isAmongMany || (isWhole && hasOtherOwners(socket, cookie))) {
    if (known !== undefined && release.byKey(known, isAmongMany))
      return { keys: [...known.keys], tableGone: false }
  } else if (known !== undefined && release.byMap(known))
    return { keys: [...known.keys], tableGone: release.tableGone }
  // A flush has taken it, and whoever is dead was not restored; or nothing was ever reserved.
  if (isWhole && isCookie.test(cookie) && !hasReservation(socket, cookie))
    return { keys: [...(known?.keys ?? [])], tableGone: false }
  const expected =
    known === undefined
      ? undefined
      : known.keys.length + masqueradedKeys(known.masquerade).length + steeredOf(known).length
  const freed = release.byCookie(expected)
  if (freed.length > 0) return { keys: freed, tableGone: release.tableGone }
  // Rules that were loaded again from a file may have the chain of somebody who has nothing any more.
  if (isWhole && isCookie.test(cookie))
    tolerate(['ENOENT', 'EBUSY'], () =>
      socket.transaction(batchEnds(), [deleteChain(hostTable, sourceChain(cookie))]),
    )
  return { keys: [...(known?.keys ?? [])], tableGone: release.tableGone }
}

const isCookie = /^[0-9a-f]{32}$/

/**
 * More sets and chains than the table has without owners (16 at most), and more than a few: each owner has a chain, so there are others
 * beside the one that goes.
 */
function isCrowded({ use }: PortTable): boolean {
  return use > 28
}

/** The same by the names of the chains: those of an owner may be few, and its elements thousands. */
function hasOtherOwners(socket: NetlinkSocket, cookie: string): boolean {
  const own = sourceChain(cookie)
  return socket.dump(dumpChains()).some((message) => {
    const { NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name = '' } = decodeChain(message)
    return table === hostTable && name.startsWith(sourcePrefix) && !name.startsWith(own)
  })
}

/** What is removed of one cookie. */
class Release {
  readonly #socket: NetlinkSocket
  readonly #cookie: string
  #table: PortTable | 'incomplete' | 'unknown'
  tableGone = false

  constructor(socket: NetlinkSocket, cookie: string, table: PortTable | 'incomplete' | 'unknown') {
    this.#socket = socket
    this.#cookie = cookie
    this.#table = table
  }

  /**
   * Others are there for certain. Removes what the record says if all of it is there with the cookie; false when it is not. Among
   * many the guard stays, and what keeps connections off steered ports: the kernel takes seconds to show hundreds of thousands
   * of elements.
   */
  byKey(known: Omit<Reservation, 'owner'>, isAmongMany: boolean): boolean {
    const found = this.#ownOf(known)
    if (found === undefined) return false
    const own = withRest(found, known)
    if (isAmongMany) return this.#remove(own, { any: true, local: true, steered: true })
    const shared = [
      ...(own.some(isLocal) ? [ports[4]] : []),
      ...(own.some(isSteered) ? Object.values(steered) : []),
    ]
    const others = () => {
      const { local, steered: steers } = this.#look(shared).others(own)
      return { any: true, local, steered: steers }
    }
    let rest = others()
    // Before something goes that others need, one look is not enough.
    if (isLastUse(own, rest)) rest = either(rest, others())
    return this.#remove(own, rest)
  }

  #ownOf({ keys }: Pick<Reservation, 'keys'>): Element[] | undefined {
    const own: Element[] = []
    for (const family of [4, 6] as const) {
      const raws = keys.filter(({ address }) => ipFamily(address) === family).map(keyOf)
      for (const found of elementsByKey(this.#socket, ports[family], raws)) {
        if (found?.comment.startsWith(this.#cookie) !== true) return undefined
        own.push(found)
      }
    }
    return own
  }

  /**
   * The same by dumps of the families that it has keys of, which show whether others are there. What else is of the
   * reservation was written with the keys, and goes with them. False when something else is there than the record says:
   * nothing was removed.
   */
  byMap(known: Omit<Reservation, 'owner'>): boolean {
    const { keys } = known
    const families = new Set(keys.map(({ address }) => ipFamily(address)))
    const isOnWire = known.steered === true
    const { own, others } = this.#look([
      ...[...families].map((family) => ports[family]),
      // Of others too: the last one's chains go with it.
      ...(isOnWire ? Object.values(steered) : []),
    ])
    const found = new Set(own.flatMap(({ reserved }) => (reserved === undefined ? [] : keyText(reserved))))
    const isWhole = own.length === keys.length + steeredOf(known).length
    if (!isWhole || !keys.every((key) => found.has(keyText(key)))) return false
    let rest = others()
    if (isLastUse(own, rest)) rest = either(rest, this.#look(isOnWire ? setNames : plainSets).others(own))
    return this.#remove(withRest(own, known), rest)
  }

  /** Whatever a look at all maps shows of the cookie, again and again. Returns the keys. */
  byCookie(expected: number | undefined): FreedKey[] {
    const freed: FreedKey[] = []
    let removed = 0
    let quiet = 0
    for (let round = 0; round < maxRounds; round++) {
      const { own, others } = this.#look()
      if (own.length === 0) {
        if (++quiet === 2) return freed
        continue
      }
      quiet = 0
      let rest = others()
      // Before something goes that others need, one look is not enough.
      if (isLastUse(own, rest)) rest = either(rest, this.#look().others())
      if (!this.#remove(own, rest)) continue
      freed.push(...own.flatMap(({ reserved }) => reserved ?? []))
      removed += own.length
      if (!rest.any || removed === expected) return freed
    }
    throw new RestlessTable(this.#cookie)
  }

  /**
   * The elements of the cookie, each once. What others have is looked at when it is asked for: `of` says what goes, by default
   * these.
   */
  #look(sets?: readonly string[]): { own: Element[]; others: (of?: readonly Element[]) => Others } {
    const shown = dumpSets(this.#socket, sets)
    const isMine = ({ comment }: Element) => comment.startsWith(this.#cookie)
    const own = new Map<string, Element>()
    let any = false
    for (const { set, message } of shown) {
      const { found, hasOthers } = elementsWith(message, this.#cookie)
      const mine = found.map((raw) => elementOf(set, raw)).filter(isMine)
      for (const one of mine) own.set(one.name, one)
      if (hasOthers || mine.length < found.length) any = true
    }
    const list = [...own.values()]
    const haveOthers = (of: readonly Element[], isOfKind: (one: Element) => boolean) =>
      of.some(isOfKind) && elementsOf(shown).some((one) => !isMine(one) && isOfKind(one))
    const others = (of: readonly Element[] = list) => ({
      any,
      local: haveOthers(of, isLocal),
      steered: haveOthers(of, isSteered),
    })
    return { own: list, others }
  }

  /** False when it is not there any more, as it was seen: nothing was removed. */
  #remove(own: readonly Element[], others: Others): boolean {
    const table = this.#table
    const isLast = !others.any && table !== 'incomplete'
    const handle = typeof table === 'object' ? table.handle : undefined
    const requests = isLast ? [deleteTable(hostTable, handle)] : removal(own, others)
    const send = () => {
      this.#socket.transaction(batchEnds(), requests)
      return true
    }
    const done = tolerate(['ENOENT'], send)
    if (done !== undefined) this.tableGone = isLast
    // Another table is there, or none: what it should hold nobody knows.
    else if (handle !== undefined) this.#table = 'incomplete'
    return done !== undefined
  }
}

/** With all that the record says beside the keys, each once. */
function withRest(own: readonly Element[], known: Omit<Reservation, 'owner'>): Element[] {
  const [comment = ''] = own.map((one) => one.comment)
  const userdata = { NFTA_SET_ELEM_USERDATA: userdataOf(comment) }
  const beside = (sets: Record<4 | 6, string>, keys: readonly Parameters<typeof keyOf>[0][]) =>
    keys.map((key) => elementOf(sets[ipFamily(key.address)], { ...keyOf(key), ...userdata }))
  return [
    ...own.filter((one) => !isSteered(one)),
    ...beside(masquerades, masqueradedKeys(known.masquerade)),
    ...beside(steered, steeredOf(known)),
  ]
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

/** Whether others have elements, and whether they have any of 127/8, and any that is steered. */
interface Others {
  readonly any: boolean
  readonly local: boolean
  readonly steered: boolean
}

/** Of the table, of its guard, or of what keeps connections off steered ports. */
function isLastUse(own: readonly Element[], others: Others): boolean {
  return !others.any || needNoGuard(own, others) || needNoKeeping(own, others)
}

function needNoGuard(own: readonly Element[], others: Others): boolean {
  return own.some(isLocal) && !others.local
}

function needNoKeeping(own: readonly Element[], others: Others): boolean {
  return own.some(isSteered) && !others.steered
}

function isSteered({ set }: Element): boolean {
  return set === steered[4] || set === steered[6]
}

function isLocal({ reserved }: Element): boolean {
  return reserved?.address.startsWith('127.') === true
}

function removal(own: readonly Element[], others: Others): Request[] {
  const requests = setNames.flatMap((set) => {
    const mine = own.filter((one) => one.set === set).map(({ raw }) => raw)
    return inParts(mine).map((part) => deleteElements(hostTable, set, part))
  })
  // A cookie's own chain goes with what leads there; of several cookies where only the beginning was asked for.
  const chains = new Set(own.map(({ comment }) => sourceChain(comment)))
  if (!others.any || needNoGuard(own, others)) chains.add(guardChain)
  const kept = needNoKeeping(own, others) ? keeping().keptOffRemoval(hostTable) : []
  return [...requests, ...kept, ...[...chains].flatMap((chain) => dropChain(hostTable, chain))]
}

/** The first of the keys that somebody has, as an error with the owner's name, and the cookie where it is of ours. */
function findTaken(socket: NetlinkSocket, keys: readonly PortKey[]): PortTaken | undefined {
  const owners = new Map<PortKey, string>()
  for (const family of [4, 6] as const) {
    const own = keys.filter(({ address }) => ipFamily(address) === family)
    const found = elementsByKey(socket, ports[family], own.map(keyOf))
    for (const [at, key] of own.entries()) {
      const element = found[at]
      if (element !== undefined) owners.set(key, element.comment)
    }
  }
  for (const key of keys) {
    const comment = owners.get(key)
    if (comment !== undefined)
      return new PortTaken(key, ownerName(comment), /^[0-9a-f]{32}(?= )/.exec(comment)?.[0])
  }
  return undefined
}

/** Comments are `COOKIE CONTAINERID/IFNAME`; people need the second half, and a stranger's comment whole. */
function ownerName(comment: string): string {
  const name = /^[0-9a-f]{32} (.+)$/.exec(comment)?.[1]
  return name === undefined ? `an element with comment "${comment}"` : `container/interface "${name}"`
}
