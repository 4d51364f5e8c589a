/** The parts of the host table that several owners share. A shared part goes with the last element that needs it. */
import type { Request } from '../../netlink/message.ts'
import { deleteElements, dropChain } from '../../netlink/nf/tables.ts'
import { inParts } from './host-keys.ts'
import { guardChain, hostTable, sourceChain } from './host-table.ts'
import { type Element, setNames } from './map-elements.ts'
import { keptOff } from './reservations.ts'
import { steered } from './steered-ports.ts'

/** The elements of other owners: any at all, any of 127.0.0.0/8, any steered. */
export interface Others {
  readonly any: boolean
  readonly local: boolean
  readonly steered: boolean
}

/** True when no other owner needs the table, its guard, or its chains for steered ports. */
export function isLastUse(own: readonly Element[], others: Others): boolean {
  return !others.any || needNoGuard(own, others) || needNoKeeping(own, others)
}

function needNoGuard(own: readonly Element[], others: Others): boolean {
  return own.some(isLocal) && !others.local
}

function needNoKeeping(own: readonly Element[], others: Others): boolean {
  return own.some(isSteered) && !others.steered
}

/** True for an element of a steered set. */
export function isSteered({ set }: Element): boolean {
  return set === steered[4] || set === steered[6]
}

/** True for a reservation of 127.0.0.0/8. */
export function isLocal({ reserved }: Element): boolean {
  return reserved?.address.startsWith('127.') === true
}

/** The requests that remove elements, and the shared parts that no other owner needs. */
export function removal(own: readonly Element[], others: Others): Request[] {
  const requests = setNames.flatMap((set) => {
    const mine = own.filter((one) => one.set === set).map(({ raw }) => raw)
    return inParts(mine).map((part) => deleteElements(hostTable, set, part))
  })
  // The owner's chain goes together with the elements that lead to it. A prefix of a cookie may name several owners.
  const chains = new Set(own.map(({ comment }) => sourceChain(comment)))
  if (!others.any || needNoGuard(own, others)) chains.add(guardChain)
  const kept = needNoKeeping(own, others) ? keptOff().keptOffRemoval(hostTable) : []
  return [...requests, ...kept, ...[...chains].flatMap((chain) => dropChain(hostTable, chain))]
}

/** The elements of other owners that at least one of two dumps shows. */
export function either(one: Others, other: Others): Others {
  return {
    any: one.any || other.any,
    local: one.local || other.local,
    steered: one.steered || other.steered,
  }
}
