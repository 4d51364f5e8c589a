/** The state of the service as metrics and readiness see it. Types alone. */
import type { Attachment } from '../allocations/attachment.ts'
import type { Allocations } from '../allocations/holding.ts'
import type { PoolStatus } from '../front-end.ts'
import type { Health } from '../health/health.ts'
import type { Device, Snapshot } from '../inventory/snapshot.ts'

/** Everything that is shown, as it is now. Looked at once for each scrape. */
export interface View {
  /** undefined: the first scan has not come to its end. */
  readonly snapshot: Snapshot | undefined
  readonly pools: readonly ViewedPool[]
  /** Of the front end. */
  readonly status: readonly PoolStatus[]
  readonly allocations: Allocations
  /** By device. */
  readonly attachments: ReadonlyMap<string, Attachment>
  readonly config: ConfigState
  /** The reason why the last look at the node failed; undefined: it did not. */
  readonly failure?: string | undefined
}

/** A pool with the devices that it offers. */
export interface ViewedPool {
  readonly resource: string
  readonly devices: readonly ViewedDevice[]
}

/** A device as its pool offers it. */
export interface ViewedDevice {
  readonly id: string
  /** undefined: it is gone from the node, and a container has it. */
  readonly device: Device | undefined
  readonly health: Health
}

/** The config in use, and the last try to read another one. */
export interface ConfigState {
  /** Configs that were taken into use, from 1; 0: none yet. */
  readonly generation: number
  /** Time of the last try, in milliseconds since 1970; undefined: there was none. */
  readonly readAt: number | undefined
  /** Sentences about the file that can't be used; empty: the config in use is that of the file. */
  readonly problems: readonly string[]
  /** Remarks about the config in use. */
  readonly warnings: number
}
