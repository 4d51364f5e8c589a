/** The state of the service: one value, replaced as a whole, so that nobody sees a half of two looks. Types alone. */
import type { Attachment } from './allocations/attachment.ts'
import type { Allocations } from './allocations/holding.ts'
import type { PluginConfig } from './config/plugin-config.ts'
import type { HealthView } from './health/health.ts'
import type { Snapshot } from './inventory/snapshot.ts'
import type { Assignment } from './pools/pool.ts'

/** A finished look: all parts belong to the same snapshot. */
export interface State {
  readonly config: PluginConfig
  readonly snapshot: Snapshot
  readonly assignment: Assignment
  readonly health: HealthView
  readonly allocations: Allocations
  /** By device. */
  readonly attachments: ReadonlyMap<string, Attachment>
}
