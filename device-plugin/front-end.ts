/**
 * The contract between the core (inventory, pools, health, allocations) and a front end, which offers devices to somebody: the
 * device plugin to kubelet, later a DRA driver to the scheduler. The core pushes pools; a front end calls back to allocate.
 */
import type { ContainerAccess } from './container/access.ts'
import type { Health } from './health/health.ts'

/** A pool as it is offered. */
export interface Offer {
  /** `PREFIX/NAME`. */
  readonly resource: string
  /** By id. */
  readonly devices: readonly OfferedDevice[]
}

/** A device as it is offered. */
export interface OfferedDevice {
  readonly id: string
  readonly health: Health
  /** undefined: the platform has none, or the pool excludes it. */
  readonly numaNode: number | undefined
}

/** Somebody who offers pools. */
export interface FrontEnd {
  /**
   * Takes all pools as they are now. A pool that is new is set up, one that is missing is taken down, one that changed is sent
   * anew, and one that is as before is not touched.
   */
  offer(pools: readonly Offer[]): void
  status(): readonly PoolStatus[]
  /** Ends within 5 s. */
  stop(): Promise<void>
}

/** The state of one pool's server. */
export interface PoolStatus {
  readonly resource: string
  /** kubelet has accepted the registration. */
  readonly registered: boolean
  /** Live ListAndWatch streams. */
  readonly streams: number
  /** Another process serves the pool, and this one takes over when the other leaves. */
  readonly standby?: boolean
  /** The last thing that went wrong, while it lasts. */
  readonly problem: string | undefined
}

/** The core as a front end sees it. */
export interface Core {
  /**
   * Chooses `count` of `available`, all of `required` among them: deterministic, fast, never throws. Ids that the core does not know
   * are chosen last.
   */
  prefer(
    resource: string,
    available: readonly string[],
    required: readonly string[],
    count: number,
  ): readonly string[]
  /** Looks at the devices again and makes them ready for one container. Throws AllocationRefused. */
  allocate(resource: string, ids: readonly string[]): Promise<ContainerAccess>
}

/** A device can't be given away. The message is one sentence for the event of a pod. */
export class AllocationRefused extends Error {
  override readonly name = 'AllocationRefused'
}
