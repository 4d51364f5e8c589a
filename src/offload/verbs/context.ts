/** The parameters that verbs hand on to each other. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import type { Feature, FeatureRemoval } from '../feature.ts'
import type { DeviceRecords } from '../state/device-history.ts'

/** The records and the features by which a removal works. */
export interface RemovalContext extends DeviceRecords {
  readonly features: readonly FeatureRemoval[]
}

/** The same with the features whole, and an open kernel: for verbs that see the pod. */
export interface OffloadContext extends RemovalContext {
  readonly features: readonly Feature[]
  /** The features of every name of the plugin: a record says what to remove, whichever name made the record. */
  readonly everyFeature: readonly FeatureRemoval[]
  readonly kernel: Kernel
  readonly pod: OpenNetns
}

/** Runs an action with the node's lock held. */
export type Locked = <T>(action: () => T) => T
