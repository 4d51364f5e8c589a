/**
 * Changes to a kernel, as data. An operation carries the old value beside the new one, so its inverse needs no
 * second read, and it names interfaces the way an operator would. In: plans of both plugins; out: the same operations
 * to kernel/, which alone knows how they are carried out. One file a subject in kinds/.
 *
 * Four tables have an entry for each kind, and the compiler misses each that lacks: table/ (undo, command line),
 * kernel/linux/ (run), kernel/inspect/verify.ts (verify) and kernel/inspect/measure.ts (count).
 */
import type { AddressOp } from './kinds/addresses.ts'
import type { DeviceStateOp } from './kinds/device-state.ts'
import type { FilterOp } from './kinds/filters.ts'
import type { LinkOp } from './kinds/links.ts'
import type { Classifier, RateOp } from './kinds/rates.ts'
import type { ReservationOp } from './kinds/reservations.ts'

export type * from './kinds/addresses.ts'
export type * from './kinds/common.ts'
export type * from './kinds/device-state.ts'
export type * from './kinds/filters.ts'
export type * from './kinds/links.ts'
export type * from './kinds/rates.ts'
export type * from './kinds/reservations.ts'

/** One change to a kernel. */
export type Op = LinkOp | AddressOp | FilterOp | ReservationOp | RateOp | DeviceStateOp

/** The name of a kind of operation. */
export type OpKind = Op['do']

/** The operation of a kind. Kinds with the same fields, as `addr.add` and `addr.del`, share a type. */
export type OpOf<K extends OpKind> = Op extends infer One
  ? One extends { readonly do: infer D }
    ? K extends D
      ? One
      : never
    : never
  : never

/** A change of a filter of a port mapping: pods have them by the hundred. */
export type FlowFilterOp = OpOf<'steer.add'>

/** True for one. */
export function isFlowFilterOp(op: Op): op is FlowFilterOp {
  return op.do === 'steer.add' || op.do === 'steer.del'
}

/** The report of an operation that succeeded: the place of a filter and, if that is not the NIC, the driver's words. */
export interface Outcome {
  /** The object that was to be added was there before, and is not ours to take back. */
  readonly existed?: boolean
  readonly where?: 'nic' | 'host'
  readonly refusal?: string
  readonly handle?: number
  /** Of a filter for every frame: which one the kernel has instead of matchall, and what it said to those before. */
  readonly classifier?: Classifier
  readonly reason?: string
}
