/** The core as front ends call it: chooses devices, and makes them ready for a container. */
import type { Attachment } from './allocations/attachment.ts'
import type { Roots } from './config/settings.ts'
import type { ContainerAccess } from './container/access.ts'
import type { CdiSpecs } from './container/cdi/store.ts'
import { accessOf } from './container/container-access.ts'
import { writeDeviceInfo } from './container/device-info/store.ts'
import { variableNames } from './container/environment.ts'
import type { Exists } from './container/nodes.ts'
import { makeReady, type ReadySources } from './container/ready/ready.ts'
import { AllocationRefused, type Core } from './front-end.ts'
import type { Member, Pool } from './pools/pool.ts'
import { prefer } from './pools/preferred.ts'
import type { State } from './state.ts'

/** The surroundings of the core. */
export interface CoreOptions {
  readonly roots: Roots
  readonly useCdi: boolean
  readonly exists: Exists
  /** The state now; undefined before the first look. */
  readonly state: () => State | undefined
  /** The attachment of a device, read now. */
  readonly attachmentOf: (device: string) => Attachment | undefined
  /** A pod has had the device since the node started, as far as this process knows. */
  readonly wasHeld: (device: string) => boolean
  /** Devices were given to a container. */
  readonly given: (resource: string, ids: readonly string[]) => void
  /** A device that was to be given away is not fit for it: the node is looked at again. */
  readonly doubt: (resource: string, reason: string) => void
}

/** Makes the core. `cdi` has the specs that answers name. */
export function makeCore(options: CoreOptions, cdi: CdiSpecs): Core {
  const poolOf = (resource: string) => {
    const state = options.state()
    const pool = state?.assignment.pools.find(({ config }) => config.resource === resource)
    return state === undefined || pool === undefined ? undefined : { state, pool }
  }
  return {
    prefer: (resource, available, required, count) => {
      const found = poolOf(resource)
      if (found === undefined)
        return [...new Set([...required, ...available])].slice(0, Math.max(count, required.length))
      const { state, pool } = found
      return prefer(pool, state.snapshot, pool.config.preferredAllocation, available, required, count)
    },
    allocate: async (resource, ids) => {
      try {
        const found = poolOf(resource)
        if (found === undefined)
          throw new AllocationRefused(`Cannot give out devices of "${resource}": there is no such pool now`)
        return await allocate(found.state, found.pool, ids)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        options.doubt(resource, reason)
        throw error instanceof AllocationRefused ? error : new AllocationRefused(reason)
      }
    },
  }

  async function allocate(state: State, pool: Pool, ids: readonly string[]): Promise<ContainerAccess> {
    const { config } = pool
    const { roots, exists, useCdi } = options
    const members = ids.map((id) => memberOf(pool, id))
    for (const { device } of members) await makeReady(device, config, readySources())
    const names = variableNames(state.config.pools).get(config.resource)
    if (names === undefined)
      throw new AllocationRefused(
        `Cannot give out devices of "${config.resource}": there is no such pool now`,
      )
    const access = accessOf(config, members, { names, exists, cdi: useCdi ? 'names' : 'off' })
    // A runtime reads the spec when the container is created, which may be right after this answer.
    if (useCdi) cdi.update(state.assignment.pools, new Set([...state.allocations.held.keys(), ...ids]))
    writeDeviceInfo(roots.deviceInfo, config, members)
    options.given(config.resource, ids)
    return access
  }

  function memberOf({ config, members }: Pool, id: string): Member {
    const member = members.find(({ device }) => device.id === id)
    if (member === undefined)
      throw new AllocationRefused(
        `Cannot give "${id}" to a container: ${config.resource} does not have the device any more`,
      )
    return member
  }

  function readySources(): ReadySources {
    const { roots, attachmentOf, wasHeld } = options
    return { sys: roots.sys, dev: roots.dev, proc: '/proc', attachmentOf, wasHeld }
  }
}
