/**
 * Releases host ports: removes reservations from the host table. A request by key takes the same time for any size of the maps: a
 * node may have hundreds of thousands of elements.
 */
import { ipFamily } from '../../lib/ip.ts'
import { batchEnds } from '../../netlink/nf/nfnetlink.ts'
import {
  decodeChain,
  deleteChain,
  deleteTable,
  dumpChains,
  elementsWith,
  userdataOf,
} from '../../netlink/nf/tables.ts'
import type { NetlinkSocket } from '../../netlink/socket.ts'
import type { FreedKey, PortTable, Released } from '../api/reservations.ts'
import { tolerate } from '../errors.ts'
import { keyOf, type Reservation, steeredOf } from './host-keys.ts'
import { hostTable, masqueradedKeys, masquerades, ports, sourceChain, sourcePrefix } from './host-table.ts'
import {
  dumpSets,
  type Element,
  elementOf,
  elementsByKey,
  elementsOf,
  keyText,
  plainSets,
  setNames,
} from './map-elements.ts'
import { hasReservation } from './reservations.ts'
import { either, isLastUse, isLocal, isSteered, type Others, removal } from './shared-parts.ts'
import { steered } from './steered-ports.ts'

/** Limit of rounds of dump and delete, for a table that another program changes all the time. */
const maxRounds = 20

/**
 * Removes all elements whose comment starts with `cookie`, and the table with the last reservation. Returns the keys that were
 * reserved. A dump during a resize of the hash table shows elements twice or not at all, so dumps are repeated until two in a row
 * show no element, or until all of `known` is found. `table` is the table, if it holds the reservations of all owners.
 * `incomplete`: other owners may have lost theirs, so the table stays even when it is empty.
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
  // A flush has removed the reservation, and dead owners are not restored. Or there was never a reservation.
  if (isWhole && isCookie.test(cookie) && !hasReservation(socket, cookie))
    return { keys: [...(known?.keys ?? [])], tableGone: false }
  const expected =
    known === undefined
      ? undefined
      : known.keys.length + masqueradedKeys(known.masquerade).length + steeredOf(known).length
  const freed = release.byCookie(expected)
  if (freed.length > 0) return { keys: freed, tableGone: release.tableGone }
  // A ruleset that was loaded again from a file may have the chain of an owner without elements.
  if (isWhole && isCookie.test(cookie))
    tolerate(['ENOENT', 'EBUSY'], () =>
      socket.transaction(batchEnds(), [deleteChain(hostTable, sourceChain(cookie))]),
    )
  return { keys: [...(known?.keys ?? [])], tableGone: release.tableGone }
}

const isCookie = /^[0-9a-f]{32}$/

/**
 * True when the table certainly has other owners: it has more sets and chains than a table without owners (16 at most) and some
 * more. Each owner has a chain.
 */
function isCrowded({ use }: PortTable): boolean {
  return use > 28
}

/** True when the table has chains of other owners. An owner may have thousands of elements, but has only one chain. */
function hasOtherOwners(socket: NetlinkSocket, cookie: string): boolean {
  const own = sourceChain(cookie)
  return socket.dump(dumpChains()).some((message) => {
    const { NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: name = '' } = decodeChain(message)
    return table === hostTable && name.startsWith(sourcePrefix) && !name.startsWith(own)
  })
}

/** The removal of one cookie's elements. */
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
   * Removes the elements of a record, in a table with other owners. Returns false, with nothing removed, when one of them is
   * missing or has another cookie. With `isAmongMany` the guard and the chains for steered ports stay, because the kernel needs
   * seconds to show hundreds of thousands of elements.
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
    // Two reads before a shared part goes, because a dump can lose elements of others.
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
   * Removes the elements of a record by dumps of the maps of its families, which also show other owners. The other elements of the
   * reservation were written together with the keys, and go together with them. Returns false, with nothing removed, when the maps
   * differ from the record.
   */
  byMap(known: Omit<Reservation, 'owner'>): boolean {
    const { keys } = known
    const families = new Set(keys.map(({ address }) => ipFamily(address)))
    const isOnWire = known.steered === true
    const { own, others } = this.#look([
      ...[...families].map((family) => ports[family]),
      // The steered sets show other owners of steered ports: the chains go with the last owner.
      ...(isOnWire ? Object.values(steered) : []),
    ])
    const found = new Set(own.flatMap(({ reserved }) => (reserved === undefined ? [] : keyText(reserved))))
    const isWhole = own.length === keys.length + steeredOf(known).length
    if (!isWhole || !keys.every((key) => found.has(keyText(key)))) return false
    let rest = others()
    if (isLastUse(own, rest)) rest = either(rest, this.#look(isOnWire ? setNames : plainSets).others(own))
    return this.#remove(withRest(own, known), rest)
  }

  /** Removes the elements of the cookie by repeated dumps of all maps. Returns the keys. */
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
      // Two reads before a shared part goes, because a dump can lose elements of others.
      if (isLastUse(own, rest)) rest = either(rest, this.#look().others())
      if (!this.#remove(own, rest)) continue
      freed.push(...own.flatMap(({ reserved }) => reserved ?? []))
      removed += own.length
      if (!rest.any || removed === expected) return freed
    }
    throw new RestlessTable(this.#cookie)
  }

  /**
   * Dumps sets and returns the elements of the cookie, each once. `others` tells what other owners have. It decodes their elements
   * only when it is called, for the elements `of` that are removed (by default all of the cookie).
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

  /** Removes elements. Returns false, with nothing removed, when one of them is gone since the dump. */
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
    // The table is gone or is another one, which may lack reservations.
    else if (handle !== undefined) this.#table = 'incomplete'
    return done !== undefined
  }
}

/** Adds the other elements of the record (masquerade, steered) to the elements of its keys, each once. */
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

/** Another program adds our elements again as fast as this one deletes them. */
class RestlessTable extends Error {
  readonly code = 'EAGAIN'
  constructor(cookie: string) {
    super(`Cannot release the host ports with cookie ${cookie}: they keep coming back`)
    this.name = 'RestlessTable'
  }
}
