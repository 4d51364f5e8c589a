/** The core as front ends call it: chooses devices, and gives them to a container. */
import { errorText } from '../src/lib/error-text.ts'
import type { Containers } from './container/containers.ts'
import { NotReady } from './container/not-ready.ts'
import { AllocationRefused, type Core } from './front-end.ts'
import { prefer } from './pools/preferred.ts'
import type { State } from './state.ts'

/** The surroundings of the core. */
export interface CoreOptions {
  /** The state now; undefined before the first look. */
  readonly state: () => State | undefined
  readonly containers: Pick<Containers, 'allocate'>
  /** Devices were given to a container. */
  readonly given: (resource: string, ids: readonly string[]) => void
  /**
   * A device that was to be given away is not fit for that: the node is to be looked at again. `device` is undefined where the reason
   * lies elsewhere. The front end logs the reason.
   */
  readonly doubt: (resource: string, reason: string, device: string | undefined) => void
}

/** Makes the core. */
export function makeCore({ state, containers, given, doubt }: CoreOptions): Core {
  return {
    prefer: (resource, available, required, count) => {
      const now = state()
      const pool = now?.assignment.pools.find(({ config }) => config.resource === resource)
      if (now === undefined || pool === undefined)
        return [...new Set([...required, ...available])].slice(0, Math.max(count, required.length))
      return prefer(pool, now.snapshot, pool.config.preferredAllocation, available, required, count)
    },
    allocate: async (resource, ids) => {
      try {
        requireFree(state(), resource, ids)
        const access = await containers.allocate(resource, ids)
        given(resource, ids)
        return access
      } catch (error) {
        const reason = errorText(error)
        doubt(resource, reason, error instanceof NotReady ? error.device : undefined)
        throw new AllocationRefused(reason)
      }
    },
  }
}

/** kubelet may ask by a list from before a change of the config, or before another pod's allocation under another name was known. */
function requireFree(now: State | undefined, resource: string, ids: readonly string[]): void {
  for (const id of ids) {
    const holding = now?.allocations.held.get(id)
    if (holding === undefined || holding.resource === resource) continue
    const { namespace = '', name = '' } = holding.pod ?? {}
    const pod = name === '' ? 'a pod' : `pod "${namespace}/${name}"`
    throw new NotReady(id, `${pod} has it as "${holding.resource}"`)
  }
}
