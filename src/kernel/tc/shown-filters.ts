/** Filters that a dump has shown, and how each is removed. */
import type { Request } from '../../netlink/message.ts'
import { deleteFilter, deleteSlot, type FilterKind, isAloneInSlot, placeOf } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'

/** Removes one filter of `dump`, with the slot where that would stay behind without a filter. */
export function deleteShown(filter: Tc, dump: readonly Tc[]): Request {
  const place = placeOf(filter)
  return leavesSlot(filter, dump) ? deleteSlot(place, 'u32') : deleteFilter(place, kindOf(filter))
}

/** True for the last filter of a slot whose hash table would stay. */
export function leavesSlot(filter: Tc, dump: readonly Tc[]): boolean {
  return filter.TCA_KIND === 'u32' && isAloneInSlot(filter, dump)
}

/** The kind of a filter that has actions of ours. */
export function kindOf({ TCA_KIND: kind }: Tc): FilterKind {
  return kind === 'matchall' || kind === 'u32' || kind === 'basic' ? kind : 'flower'
}
