/**
 * Puts back what a flush of the node's rules has taken from the host's table (nftables/reservations.ts), while whoever flushes may do it
 * again at any moment. The caller has the lock under which reservations are made, so nobody else makes any meanwhile.
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

/** Attempts before giving up on rules that are flushed all the time. */
const maxRounds = 10
/** A transaction has at most so many elements, or one owner's: memory, and a message that the kernel copies whole. */
const elementsInTransaction = 4_000

/**
 * Puts back what is missing of `wanted`, and writes the chains anew. A key of theirs that somebody else has, of whom nobody
 * knows, goes to the one that is wanted: the kernel has granted it once. Other elements stay. An owner whose reservation the
 * kernel refuses keeps nobody else from theirs. Of two that want one key it goes to whoever has it, else to the first.
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
 * One attempt. Returns the handle of the table that it has worked on. An element that is there, and was not shown, asks for
 * another attempt; in the last one its owner is refused.
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
 * What makes a reservation whole; undefined where another one that is wanted has one of its keys, or is among those that get
 * theirs, which `claimed` tells. What it gets itself is claimed then.
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

/** An element: its owner, and where it leads. */
interface Shown {
  readonly comment: string
  readonly data: string
}

/** What is there, by set and key. */
type Present = ReadonlyMap<string, Shown>

function presentIn(socket: NetlinkSocket, sets: readonly string[]): Present {
  const present = new Map<string, Shown>()
  // Thousands of elements have one comment.
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

/** The chain of everybody who has elements: former versions made none where nobody's address is replaced. */
function chainsOf(present: Present): Request[] {
  const cookies = new Set<string>()
  for (const comment of new Set([...present.values()].map((one) => one.comment))) {
    const cookie = /^[0-9a-f]{32}(?= )/.exec(comment)?.[0]
    if (cookie !== undefined) cookies.add(cookie)
  }
  return [...cookies].map((cookie) => newChain(hostTable, sourceChain(cookie)))
}

/** At least one, for the frame. */
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

/** A dump of a table that the kernel resizes may have left one out. */
function isTaken(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === 'EEXIST' && error.operation === 'NFT_MSG_NEWSETELEM'
}

/** Somebody flushes the rules of the node as fast as they are written. */
class RestlessRules extends Error {
  readonly code = 'EAGAIN'
  constructor() {
    super('Cannot put back the reservations of host ports: the rules of the node are flushed all the time')
    this.name = 'RestlessRules'
  }
}
