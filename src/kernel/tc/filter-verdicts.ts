/** Tells where a frame goes after the actions of a filter. */

import { TC_ACT } from '../../netlink/tc/actions/gact.ts'
import { actionsOf } from '../../netlink/tc/filter.ts'
import type { Tc } from '../../netlink/tc/msg.ts'

/** The verdicts (TC_ACT_*) that the last action of a filter can return; none for a filter without actions. */
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
 * True when a filter in the NIC keeps frames in the NIC, or drops them, so that no software filter sees the frames. A policer
 * passes the frames within its rate. After a mirror as the last action, the eSwitch has sent the frame to the mirror's target.
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

/** Verdicts by which a frame reaches the host. PIPE after the last action ends the list, and the frame goes on as usual. */
const toHost: ReadonlySet<number> = new Set([TC_ACT.TC_ACT_OK, TC_ACT.TC_ACT_TRAP, TC_ACT.TC_ACT_PIPE])
