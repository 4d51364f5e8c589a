/** Removal of filters by cookie: what every part of an attachment has on an interface goes in one search. */
import { CniError, code } from '../cni/error.ts'
import type { Kernel, OwnFilter } from '../kernel/kernel.ts'
import type { Side } from '../ops/op.ts'

/** Rounds of dump and delete before giving up on a table that never comes to rest. */
const maxRounds = 20

/**
 * Removes every filter with one of `cookies` (hex) from a side, and returns them. Dumps and deletes until two full dumps
 * in a row show none: a dump can lose entries, so one proves nothing.
 * @throws CniError 103 when there are still some after 20 rounds
 */
export function removeFilters(
  kernel: Kernel,
  cookies: readonly string[],
  side: Side = 'host',
): readonly OwnFilter[] {
  const removed: OwnFilter[] = []
  let quiet = 0
  for (let round = 0; round < maxRounds; round++) {
    const found = kernel.ownFilters(cookies, side)
    kernel.removeFilters(found, side)
    removed.push(...found)
    quiet = found.length === 0 ? quiet + 1 : 0
    if (quiet === 2) return removed
  }
  throw new CniError(
    code.notRestored,
    `Cannot remove the filters with cookie ${cookies.join(' or ')}: they keep coming back`,
  )
}
