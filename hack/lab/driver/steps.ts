// The language of the driver: a list of steps in, a list of results out, both packed by json.ts. Types only, so that
// tests on Node can import it.
import type { Kernel } from '../../../src/kernel/api/kernel.ts'
import type { RateKernel } from '../../../src/kernel/api/rates.ts'
import type { Op, Side } from '../../../src/ops/op.ts'
import type { Runner } from '../../../src/ops/runner.ts'
import type * as builders from './builders.ts'
import type * as probes from './probes.ts'

export type Builders = typeof builders
export type Probes = typeof probes
/** Questions that a kernel answers, and removals that it makes; those about rates too. */
export type Questions = Omit<Kernel, keyof Runner | 'close' | 'rates'> & RateKernel

/** A netlink message by the name of its builder and the builder's arguments. */
export interface Draft {
  readonly build: keyof Builders
  readonly args: readonly unknown[]
}

export type Step =
  /** One operation, without rollback. */
  | { readonly step: 'run'; readonly op: Op }
  /** Operations as one transaction: all, or none. */
  | { readonly step: 'apply'; readonly ops: readonly Op[] }
  | { readonly step: 'ask'; readonly question: keyof Questions; readonly args: readonly unknown[] }
  | { readonly step: 'request' | 'dump'; readonly side: Side; readonly message: Draft }
  | { readonly step: 'batch'; readonly side: Side; readonly messages: readonly Draft[] }
  | { readonly step: 'probe'; readonly probe: keyof Probes; readonly args: readonly unknown[] }

/** All of standard input. `netns` is the path of the pod's namespace. */
export interface Program {
  readonly netns?: string
  readonly steps: readonly Step[]
}

/** A step that failed; the next ones were carried out nevertheless. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly errno?: number
  readonly extack?: string
  readonly attribute?: string
  /** The config key that a VF refusal names. */
  readonly key?: string
  /** Operations that a rollback could not take back. */
  readonly stuck?: readonly string[]
  readonly cause?: Failure
}

export type Result<T = unknown> =
  | { readonly value: T; readonly error?: never }
  | { readonly value?: never; readonly error: Failure }

/** A message that came, decoded by its family's codec. */
export interface Came {
  readonly type: string
  readonly value: Readonly<Record<string, unknown>>
}

/** The answer to a request. */
export interface Answer {
  readonly messages: readonly Came[]
  readonly warning?: string
}
