/**
 * The kernel as the plugins see it: it runs operations and answers questions. Two sides, the plugin's own network namespace
 * (`host`) and the pod's; the pod's side exists once a namespace was given. Each subject has an interface of its own: a part of a
 * plugin takes the subjects that it uses.
 */
import type { Runner } from '../../ops/runner.ts'
import type { AddressKernel } from './addresses.ts'
import type { DeviceStateKernel } from './device-state.ts'
import type { FilterKernel } from './filters.ts'
import type { LinkKernel } from './links.ts'
import type { PortUserKernel } from './port-users.ts'
import type { ProbeKernel } from './probe.ts'
import type { LimitKernel } from './rates.ts'
import type { ReservationKernel } from './reservations.ts'
import type { VerifyKernel } from './verify.ts'

export type * from './addresses.ts'
export type * from './counters.ts'
export type * from './device-state.ts'
export type * from './filters.ts'
export type * from './links.ts'
export type * from './port-users.ts'
export type * from './probe.ts'
export type * from './rates.ts'
export type * from './reservations.ts'
export type * from './verify.ts'

/** The two sides of a node, open for one verb. Every method is synchronous and throws what the kernel refuses. */
export interface Kernel
  extends Runner,
    LinkKernel,
    DeviceStateKernel,
    AddressKernel,
    FilterKernel,
    ReservationKernel,
    PortUserKernel,
    LimitKernel,
    ProbeKernel,
    VerifyKernel {
  /** Closes the sockets: an open one would keep the pod's namespace alive. */
  close(): void
}
