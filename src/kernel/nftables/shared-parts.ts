/** Parts of the host's table that several owners share: they go with the last element that needs them. */
import type { Request } from '../../netlink/message.ts'
import { deleteElements, dropChain } from '../../netlink/nf/tables.ts'
import { inParts } from './host-keys.ts'
import { guardChain, hostTable, sourceChain } from './host-table.ts'
import { type Element, setNames } from './map-elements.ts'
import { keptOff } from './reservations.ts'
import { steered } from './steered-ports.ts'

/** The elements of others: any at all, any of 127/8, any that is steered. */
export interface Others {
  readonly any: boolean
  readonly local: boolean
  readonly steered: boolean
}

/** True when these elements are the last that need the table, its guard, or the chains that keep connections off steered ports. */
export function isLastUse(own: readonly Element[], others: Others): boolean {
  return !others.any || needNoGuard(own, others) || needNoKeeping(own, others)
}

function needNoGuard(own: readonly Element[], others: Others): boolean {
  return own.some(isLocal) && !others.local
}

function needNoKeeping(own: readonly Element[], others: Others): boolean {
  return own.some(isSteered) && !others.steered
}

/** True for an element that says that filters steer a port. */
export function isSteered({ set }: Element): boolean {
  return set === steered[4] || set === steered[6]
}

/** True for a reserved port of 127/8. */
export function isLocal({ reserved }: Element): boolean {
  return reserved?.address.startsWith('127.') === true
}

/** The requests that remove elements, and with them the parts of the table that nobody else needs. */
export function removal(own: readonly Element[], others: Others): Request[] {
  const requests = setNames.flatMap((set) => {
    const mine = own.filter((one) => one.set === set).map(({ raw }) => raw)
    return inParts(mine).map((part) => deleteElements(hostTable, set, part))
  })
  // A cookie's own chain goes with what leads there; of several cookies where only the beginning was asked for.
  const chains = new Set(own.map(({ comment }) => sourceChain(comment)))
  if (!others.any || needNoGuard(own, others)) chains.add(guardChain)
  const kept = needNoKeeping(own, others) ? keptOff().keptOffRemoval(hostTable) : []
  return [...requests, ...kept, ...[...chains].flatMap((chain) => dropChain(hostTable, chain))]
}

/** Elements of others that one of two looks showed. */
export function either(one: Others, other: Others): Others {
  return {
    any: one.any || other.any,
    local: one.local || other.local,
    steered: one.steered || other.steered,
  }
}
