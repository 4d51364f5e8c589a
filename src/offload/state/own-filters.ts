/** Removal of filters by cookie: the filters of all features on an interface go in one search. */
import { CniError, code } from '../../cni/error.ts'
import type { Kernel, OwnFilter, OwnPlace, PlacedFilter } from '../../kernel/api/kernel.ts'
import type { Side } from '../../ops/op.ts'

/** Rounds of look and delete before giving up on a table that never comes to rest. */
const maxRounds = 20

/** The places of an attachment's filters, by its record. */
export interface FilterPlaces {
  /** Those whose numbers it has. */
  readonly placed: readonly PlacedFilter[]
  /** Interfaces of the host that may have others. */
  readonly interfaces: readonly OwnPlace[]
  /** It does not say on which interfaces: a former version wrote it, and its ADD has not come to an end. */
  readonly isOpen: boolean
}

/**
 * Removes the filters with one of `cookies` (hex) that are where a record says: by their numbers, and on the interfaces that may
 * have more of them. Returns them. @throws CniError 103 when they keep coming back
 */
export function removePlaced(
  kernel: Kernel,
  cookies: readonly string[],
  { placed, interfaces, isOpen }: FilterPlaces,
): readonly OwnFilter[] {
  const found = placed.length === 0 ? [] : kernel.placedFilters(placed)
  if (found.length > 0) kernel.removeFilters(found)
  if (!isOpen && interfaces.length === 0) return found
  return [...found, ...removeFilters(kernel, cookies, 'host', isOpen ? undefined : interfaces)]
}

/** Removes every filter with one of `cookies` (hex) from a side, or from some interfaces of it, and returns them. @throws CniError 103 */
export function removeFilters(
  kernel: Kernel,
  cookies: readonly string[],
  side: Side = 'host',
  places?: readonly OwnPlace[],
): readonly OwnFilter[] {
  return untilQuiet(
    () => kernel.ownFilters(cookies, side, places),
    (found) => {
      kernel.removeFilters(found, side)
      return found
    },
    `Cannot remove the filters with cookie ${cookies.join(' or ')}`,
  )
}

/**
 * Looks and removes until two looks in a row show nothing that is to go: a dump can lose entries, so one proves nothing. `remove`
 * returns what of that was to go. Returns all of it.
 * @throws CniError 103 when there is still something after 20 rounds
 */
export function untilQuiet<T>(
  look: () => readonly T[],
  remove: (found: readonly T[]) => readonly T[],
  failure: string,
): readonly T[] {
  const removed: T[] = []
  let quiet = 0
  for (let round = 0; round < maxRounds; round++) {
    const found = look()
    const theirs = found.length === 0 ? [] : remove(found)
    removed.push(...theirs)
    quiet = theirs.length === 0 ? quiet + 1 : 0
    if (quiet === 2) return removed
  }
  throw new CniError(code.notRestored, `${failure}: they keep coming back`)
}
