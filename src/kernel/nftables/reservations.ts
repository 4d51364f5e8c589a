/**
 * Reserves host ports in the host table `inet vf-flower`. The maps of the table are the node's reservations and the
 * data path in one: a new connection costs one lookup, whatever the number of ports. Chain prerouting serves connections from
 * outside, and chain output those of the host's own programs. The maps hold only exact addresses of the node, so no forwarded
 * connection is caught. Each reservation writes the chains anew in its transaction, which undoes changes of other programs.
 *
 * Uses netlink, because the start of nft would dominate a DEL. A request by key takes the same time for any size of the maps: a
 * node may have hundreds of thousands of elements.
 */
import { ipFamily } from '../../lib/ip.ts'
import type { Request } from '../../netlink/message.ts'
import { batchEnds } from '../../netlink/nf/nfnetlink.ts'
import { createElements, createTable, newTable } from '../../netlink/nf/rules.ts'
import { decodeTable, getChain, getTable } from '../../netlink/nf/tables.ts'
import { NetlinkError, type NetlinkSocket, type Reply } from '../../netlink/socket.ts'
import type { PortKey } from '../../ops/op.ts'
import { PortTaken } from '../../ops/port-taken.ts'
import type { PortTable, Reserved } from '../api/reservations.ts'
import { tolerate } from '../errors.ts'
import { elementsOfReservation, inParts, keyOf, type Reservation } from './host-keys.ts'
import {
  guardRequests,
  hostTable,
  hostTableRequests,
  needGuard,
  ports,
  sourceChain,
  sourceRequests,
} from './host-table.ts'
import { absent, elementsByKey } from './map-elements.ts'

/** The chains for steered ports, loaded late because a pod behind a veth has none. */
export const keptOff = () => require('./kept-off.ts') as typeof import('./kept-off.ts')

/** The host table as it is now; undefined when there is none. */
export function portTable(socket: NetlinkSocket): PortTable | undefined {
  const answer = ask(() => socket.request(getTable(hostTable)).echo)
  return answer === undefined ? undefined : facts(decodeTable(answer))
}

function facts({ NFTA_TABLE_HANDLE: handle = 0n, NFTA_TABLE_USE: use = 0 }: TableAttributes): PortTable {
  return { handle, use }
}

type TableAttributes = ReturnType<typeof decodeTable>

/** Handle of a table that a transaction has created, from its replies. */
export function handleIn(replies: readonly Reply[]): bigint | undefined {
  const echo = replies[0]?.echo
  return echo === undefined ? undefined : facts(decodeTable(echo)).handle
}

/** True when the owner with this cookie (32 hexadecimal digits) has a reservation. */
export function hasReservation(socket: NetlinkSocket, cookie: string): boolean {
  return ask(() => socket.request(getChain(hostTable, sourceChain(cookie)))) !== undefined
}

function ask<T>(question: () => T): T | undefined {
  return tolerate(absent, question)
}

/**
 * Reserves all keys or none, in one transaction. The request creates elements exclusively, so the kernel refuses an element that
 * exists. `table` is the state of the table that the caller expects. When the table has changed, as after a flush of the node's
 * ruleset, nothing is reserved and `changed` has the refusal.
 * @throws PortTaken with the owner's name
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
    // Another program has made an element without the lock, or has flushed the ruleset: the caller must read the table again.
    if (table === 'unknown') throw error
    return { changed: error }
  }
}

/** True when the table of a transaction is gone, or when the table that it creates exists already. */
export function isOtherTable(error: unknown): boolean {
  if (!(error instanceof NetlinkError)) return false
  return error.code === 'ENOENT' || (error.code === 'EEXIST' && error.operation === 'NFT_MSG_NEWTABLE')
}

/** Sends a transaction that writes the table's sets and chains. Maps of an old version, which do not count, stay as they are. */
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

/** The chains that only some reservations need: the guard, and the chains of nftables/kept-off.ts for steered ports. */
export function sharedRequests(reservations: readonly Reservation[]): Request[] {
  return [
    ...(reservations.some(({ keys }) => needGuard(keys)) ? guardRequests() : []),
    ...(reservations.some((one) => one.steered === true) ? keptOff().keptOffRequests(hostTable) : []),
  ]
}

/** Creates an owner's chain. Its name alone tells that the owner has a reservation. */
export function ownerRequests({ masquerade, owner }: Reservation): Request[] {
  return sourceRequests(masquerade, owner)
}

/** The error for the first key with an owner: it has the owner's name and, if the owner is ours, the cookie. */
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

/** The name of an owner. Our comments are `COOKIE CONTAINERID/IFNAME`, and people need the second half. */
function ownerName(comment: string): string {
  const name = /^[0-9a-f]{32} (.+)$/.exec(comment)?.[1]
  return name === undefined ? `an element with comment "${comment}"` : `container/interface "${name}"`
}
