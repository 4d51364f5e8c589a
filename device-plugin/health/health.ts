/** Health: why a device of a pool can not be given away now. Types alone; the functions are beside this file, and are pure. */

/** Reasons, as metrics and logs name them. */
export type HealthReason =
  /** An allocated device is not on the node any more. */
  | 'gone'
  /** The driver is another one than when the device was first offered, or there is none. */
  | 'driver'
  /** The PF's uplink has no carrier. */
  | 'carrier'
  /** The PF has switched the VF's link off (`link-state disable`). */
  | 'link-state'
  /** switchdev mode, and no representor. */
  | 'representor'
  /** The PF is being reset, or its devlink health reporter says error. */
  | 'reset'
  /** A record of vf-attach tells of a pod that is dead: the VF is not restored yet. */
  | 'dirty'
  /** A program that is no pod's has the device open. */
  | 'open'

/** The health of one device as it is told to a front end. */
export interface Health {
  readonly healthy: boolean
  /** Empty for a healthy device. */
  readonly reasons: readonly { readonly reason: HealthReason; readonly text: string }[]
}
