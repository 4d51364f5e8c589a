/**
 * DEL of `vf-offload`. DEL has an entry of its own, because a process that serves one DEL would load more code for planning
 * than for removing.
 */
import { explained } from '../cni/failure.ts'
import type { Request } from '../cni/request.ts'
import type { Machine } from '../kernel/api/machine.ts'
import { notice } from '../lib/log/notice.ts'
import { hasNoPlace } from '../lib/no-place.ts'
import { keepingNewer } from '../records/newer.ts'
import { bandwidthRemoval } from './bandwidth/removal.ts'
import type { OffloadName } from './config/plugin-names.ts'
import { readTeardown } from './config/teardown.ts'
import type { FeatureRemoval } from './feature.ts'
import type { FeatureName } from './features.ts'
import { portmapRemoval } from './portmap/removal.ts'
import { storesOf, withSharedLock } from './state/stores.ts'
import { removeAttachment } from './verbs/del.ts'

/** The removing half of each feature, in the order of features.ts. */
const removals: Readonly<Record<FeatureName, FeatureRemoval>> = {
  bandwidth: bandwidthRemoval,
  portmap: portmapRemoval,
}

function removalsOf(name: OffloadName): readonly FeatureRemoval[] {
  return name === 'vf-offload' ? Object.values(removals) : [removals[name]]
}

/** Serves DEL under one of the plugin's names. */
export function offloadDel(machine: Machine, name: OffloadName): (request: Request) => void {
  return (request) =>
    explained(() => {
      const { stateDir } = readTeardown(request)
      const stores = storesOf(name, stateDir)
      const store = keepingNewer(stores.store, 'vf-offload', request)
      const context = { machine, ...stores, store, features: removalsOf(name) }
      removeAttachment(context, request, (action) => withLockOrNone(machine, action))
    })
}

/**
 * The shared lock, or none where there can be no file for it: then nobody else has it either. An ADD can't begin there, and
 * a DEL must not fail for that.
 */
function withLockOrNone<T>(machine: Machine, action: () => T): T {
  let isLocked = false
  try {
    return withSharedLock(machine, () => {
      isLocked = true
      return action()
    })
  } catch (error) {
    if (isLocked || !hasNoPlace(error)) throw error
    notice(`vf-offload: DEL goes on without the node's lock: ${error.message}`)
    return action()
  }
}
