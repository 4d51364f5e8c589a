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

/** Only ports on a wire need these chains. */
export const keptOff = () => require('./kept-off.ts') as typeof import('./kept-off.ts')

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
    ...(reservations.some((one) => one.steered === true) ? keptOff().keptOffRequests(hostTable) : []),
  ]
}

/** Makes an owner's chain, which tells by its name alone that the owner has something reserved. */
export function ownerRequests({ masquerade, owner }: Reservation): Request[] {
  return sourceRequests(masquerade, owner)
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
