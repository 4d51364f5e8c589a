/** Health: why a device of a pool can not be given away now. Types alone; the functions are beside this file, and are pure. */
import type { Assignment } from '../pools/pool.ts'
import type { Refused } from './refusals.ts'

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
  /** Allocate has refused the device a short time ago, and nothing about the device has changed since. */
  | 'refused'

/** The health of one device as it is told to a front end. */
export interface Health {
  readonly healthy: boolean
  /** Empty for a healthy device. */
  readonly reasons: readonly { readonly reason: HealthReason; readonly text: string }[]
}

/** One device in use, as far as health asks. A holding of the allocations is one. */
export interface Held {
  readonly resource: string
  readonly pod?: { readonly namespace: string; readonly name: string } | undefined
}

/** A record of vf-attach, as far as health asks. An attachment of the allocations is one. */
export interface Attached {
  readonly device: string
  /** The pod's network namespace is there. */
  readonly alive: boolean
  /** Its DEL was called while a program had the device open. */
  readonly pendingClose: boolean
  readonly pod: { readonly namespace: string; readonly name: string } | undefined
}

/** All that health is worked out from. */
export interface HealthInput {
  readonly assignment: Assignment
  /** By device id. */
  readonly held: ReadonlyMap<string, Held>
  readonly attachments: readonly Attached[]
  /** Devices that Allocate has refused, by id; absent: none. */
  readonly refused?: ReadonlyMap<string, Refused>
  /** Milliseconds of a clock that does not go back. */
  readonly now: number
}

/** One device as it is offered. */
export interface DeviceHealth {
  readonly id: string
  readonly health: Health
  /** undefined: the platform has none, or the pool excludes it. */
  readonly numaNode: number | undefined
}

/** The devices that one pool offers, by id. */
export interface PoolHealth {
  readonly resource: string
  readonly devices: readonly DeviceHealth[]
}

/** The health of all pools at one time. */
export interface HealthView {
  /** In the order of the config. */
  readonly pools: readonly PoolHealth[]
  /** Devices that their pool does not offer, because a pod has them from another resource. */
  readonly withheld: readonly { readonly id: string; readonly resource: string; readonly text: string }[]
  /** The time, on the clock of the input, when something changes although nothing happens; undefined: never. */
  readonly dueAt: number | undefined
}
