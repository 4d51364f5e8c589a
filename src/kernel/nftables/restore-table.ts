/**
 * Restores the host table (nftables/reservations.ts) after another program has flushed the node's ruleset. The program may flush
 * again at any moment. The caller holds the lock of reservations, so no other call makes reservations meanwhile.
 */
import type { Request } from '../../netlink/message.ts'
import { createElements, createTable, newChain } from '../../netlink/nf/rules.ts'
import { deleteElements, eachElement, type NftElement } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket } from '../../netlink/socket.ts'
import type { Completed, PortTable } from '../api/reservations.ts'
import { elementsOfReservation, inParts, type Reservation } from './host-keys.ts'
import { hostTable, hostTableRequests, sourceChain } from './host-table.ts'
import { dumpSets, plainSets, setNames } from './map-elements.ts'
import { handleIn, inTable, isOtherTable, ownerRequests, portTable, sharedRequests } from './reservations.ts'

/** Limit of rounds: a ruleset that is flushed all the time cannot be restored. */
const maxRounds = 10
/** Limit of elements in a transaction, unless one owner has more: the kernel copies the whole message to its memory. */
const elementsInTransaction = 4_000

/**
 * Restores the missing elements of the reservations in `wanted`, and writes the chains anew. A key whose present owner is not in
 * `wanted` goes to the wanted reservation, because the kernel has granted the key to it before. Other elements stay. A refused
 * reservation does not stop the others. A key that two wanted reservations have stays with its present owner, or goes to the first.
 */
export function completeTable(socket: NetlinkSocket, wanted: readonly Reservation[]): Completed {
  const refused = new Map<string, string>()
  const restored = new Set<string>()
  for (let round = 0; ; round++) {
    const before = portTable(socket)
    if (before === undefined && wanted.length === 0) return completed(undefined, restored, refused)
    try {
      const todo = wanted.filter(({ owner }) => !refused.has(owner))
      const handle = complete(socket, before, todo, restored, refused, round === maxRounds)
      const after = portTable(socket)
      if (after !== undefined && after.handle === handle) return completed(after, restored, refused)
    } catch (error) {
      if (!isOtherTable(error) && !isTaken(error)) throw error
      if (round >= maxRounds) throw error
    }
    if (round >= maxRounds) throw new RestlessRules()
  }
}

function completed(
  table: PortTable | undefined,
  restored: ReadonlySet<string>,
  refused: ReadonlyMap<string, string>,
): Completed {
  const reasons = [...refused].map(([owner, reason]) => ({ owner, reason }))
  return { table, restored: [...restored].filter((owner) => !refused.has(owner)), refused: reasons }
}

/**
 * One round. Returns the handle of the table that the round has changed. An element that exists, but that the dump has not shown,
 * needs another round (EEXIST); in the last round its owner is refused.
 */
function complete(
  socket: NetlinkSocket,
  before: PortTable | undefined,
  wanted: readonly Reservation[],
  restored: Set<string>,
  refused: Map<string, string>,
  isLastRound: boolean,
): bigint | undefined {
  const sets = wanted.some((one) => one.steered === true) ? setNames : plainSets
  const present: Present = before === undefined ? new Map() : presentIn(socket, sets)
  const known = new Set(wanted.map(({ owner }) => owner))
  const claimed = new Map<string, Shown>()
  const todo = wanted.flatMap((one) => {
    const missing = missingOf(one, present, known, claimed)
    if (missing === undefined) refused.set(one.owner, 'another attachment has one of its ports')
    else if (missing.requests.length > 0) return [{ ...one, ...missing }]
    return []
  })
  const frame = (counted: boolean): Request[] => [
    ...(before === undefined ? [createTable(hostTable)] : []),
    ...hostTableRequests(counted),
    ...sharedRequests(wanted),
    ...chainsOf(present),
  ]
  let handle = before?.handle
  const send = (part: typeof todo, isFirst: boolean): void => {
    const replies = inTable(socket, (counted) => [
      ...(isFirst ? frame(counted) : []),
      ...part.flatMap(({ requests }) => requests),
    ])
    if (isFirst) handle ??= handleIn(replies)
    for (const { owner } of part) restored.add(owner)
  }
  for (const [at, part] of batches(todo).entries()) {
    try {
      send(part, at === 0)
    } catch (error) {
      if (part.length === 0 || isOtherTable(error) || (isTaken(error) && !isLastRound)) throw error
      if (!(error instanceof NetlinkError) || error.isLost) throw error
      if (at === 0) send([], true)
      for (const one of part) sendAlone(() => send([one], false), one, refused)
    }
  }
  return handle
}

function sendAlone(send: () => void, { owner }: Reservation, refused: Map<string, string>): void {
  try {
    send()
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.isLost || isOtherTable(error)) throw error
    refused.set(owner, error.message)
  }
}

/**
 * The requests that complete a reservation; undefined when another wanted reservation has one of its keys, in the kernel or in
 * `claimed`. Adds the keys of the reservation to `claimed`.
 */
function missingOf(
  reservation: Reservation,
  present: Present,
  wanted: ReadonlySet<string>,
  claimed: Map<string, Shown>,
): { readonly requests: Request[]; readonly size: number } | undefined {
  const { owner } = reservation
  const requests: Request[] = []
  const claims = new Map<string, Shown>()
  let size = 0
  for (const [set, elements] of elementsOfReservation(reservation)) {
    const [gone, create]: [NftElement[], NftElement[]] = [[], []]
    for (const raw of elements) {
      const place = placeOf(set, latin1(raw.NFTA_SET_ELEM_KEY?.NFTA_DATA_VALUE))
      const data = latin1(raw.NFTA_SET_ELEM_DATA?.NFTA_DATA_VALUE)
      const granted = claimed.get(place)
      const there = granted ?? present.get(place)
      const isOwn = there?.comment === owner
      if (isOwn && there.data === data) continue
      if (granted !== undefined) return undefined
      if (there !== undefined && !isOwn && wanted.has(there.comment)) return undefined
      if (there !== undefined) gone.push(raw)
      create.push(raw)
      claims.set(place, { comment: owner, data })
    }
    requests.push(...inParts(gone).map((part) => deleteElements(hostTable, set, part)))
    requests.push(...inParts(create).map((part) => createElements(hostTable, set, part)))
    size += create.length
  }
  for (const [place, claim] of claims) claimed.set(place, claim)
  return { requests: requests.length === 0 ? [] : [...ownerRequests(reservation), ...requests], size }
}

/** An element: its owner and its target. */
interface Shown {
  readonly comment: string
  readonly data: string
}

/** The existing elements, by set and key. */
type Present = ReadonlyMap<string, Shown>

function presentIn(socket: NetlinkSocket, sets: readonly string[]): Present {
  const present = new Map<string, Shown>()
  // Equal comments share one string, to save memory: thousands of elements have the same comment.
  const comments = new Map<string, string>()
  for (const set of sets) {
    for (const { message } of dumpSets(socket, [set])) {
      eachElement(message, (key, data, text) => {
        const comment = comments.get(text) ?? text
        comments.set(comment, comment)
        present.set(placeOf(set, key), { comment, data })
      })
    }
  }
  return present
}

function placeOf(set: string, key: string): string {
  return `${set} ${key}`
}

function latin1(bytes: Uint8Array | undefined): string {
  return bytes === undefined
    ? ''
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** The chains of all owners of elements: old versions made no chain for a reservation without masquerade. */
function chainsOf(present: Present): Request[] {
  const cookies = new Set<string>()
  for (const comment of new Set([...present.values()].map((one) => one.comment))) {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    if (cookie !== undefined) cookies.add(cookie)
  }
  return [...cookies].map((cookie) => newChain(hostTable, sourceChain(cookie)))
}

/** Cuts the list into transactions. Returns at least one, because the chains need a transaction. */
function batches<T extends { readonly size: number }>(list: readonly T[]): T[][] {
  const parts: T[][] = [[]]
  let size = 0
  for (const one of list) {
    if (size > 0 && size + one.size > elementsInTransaction) {
      parts.push([])
      size = 0
    }
    parts.at(-1)?.push(one)
    size += one.size
  }
  return parts
}

/** True when an element exists already. The dump may have left the element out while the kernel resized the map. */
function isTaken(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === 'EEXIST' && error.operation === 'NFT_MSG_NEWSETELEM'
}

/** Another program flushes the ruleset of the node as fast as this one restores it. */
class RestlessRules extends Error {
  readonly code = 'EAGAIN'
  constructor() {
    super('Cannot restore the reservations of host ports: another program flushes the ruleset all the time')
    this.name = 'RestlessRules'
  }
}
