/** What becomes of a frame after the actions of a filter. */

import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { actionsOf } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'

/** TC_ACT_* values that the last action of a filter can end with; none for a filter without actions. */
export function verdictsOf(filter: Tc): readonly number[] {
  const options = actionsOf(filter).at(-1)?.TCA_ACT_OPTIONS
  const parms = options === undefined || options instanceof Uint8Array ? [] : Object.values(options)
  return parms.flatMap((value: unknown) =>
    typeof value === 'object' && value !== null && 'action' in value && typeof value.action === 'number'
      ? [value.action]
      : [],
  )
}

/**
 * True when a filter in the NIC keeps frames there, or drops them: no filter in software ever sees one. A policer lets go on
 * what conforms, and after a copy (mirror) alone the eSwitch has sent the frame where the copy went.
 */
export function keepsFrames(filter: Tc): boolean {
  const last = actionsOf(filter).at(-1)
  if (last === undefined) return false
  if (last.TCA_ACT_KIND === 'mirred') return true
  const options = last.TCA_ACT_OPTIONS
  if (options !== undefined && !(options instanceof Uint8Array) && 'TCA_POLICE_TBF' in options)
    return !toHost.has(options.TCA_POLICE_RESULT ?? TC_ACT.TC_ACT_OK)
  return !verdictsOf(filter).some((verdict) => toHost.has(verdict))
}

/** PIPE behind the last action is the end of the list, and frames take their usual way. */
const toHost: ReadonlySet<number> = new Set([TC_ACT.TC_ACT_OK, TC_ACT.TC_ACT_TRAP, TC_ACT.TC_ACT_PIPE])
