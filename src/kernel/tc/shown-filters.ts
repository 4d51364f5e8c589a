/** Removes filters that a dump has shown. A u32 filter may need the removal of its whole slot. */
import type { Request } from '../../netlink/message.ts'
import { deleteFilter, deleteSlot, type FilterKind, isAloneInSlot, placeOf } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'

/** The request that removes one filter of `dump`, or its whole slot where the slot would stay without a filter. */
export function deleteShown(filter: Tc, dump: readonly Tc[]): Request {
  const place = placeOf(filter)
  return leavesSlot(filter, dump) ? deleteSlot(place, 'u32') : deleteFilter(place, kindOf(filter))
}

/** True for the last u32 filter of a slot: the hash table of the slot would stay without it. */
export function leavesSlot(filter: Tc, dump: readonly Tc[]): boolean {
  return filter.TCA_KIND === 'u32' && isAloneInSlot(filter, dump)
}

/** The kind of a filter with actions of ours. */
export function kindOf({ TCA_KIND: kind }: Tc): FilterKind {
  return kind === 'matchall' || kind === 'u32' || kind === 'basic' ? kind : 'flower'
}
