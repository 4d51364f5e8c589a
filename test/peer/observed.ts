// The behaviour of one device plugin on one node, as kubelet and the node see it. Types alone.
import type { KnownDevice } from '../../hack/lab/kubelet/api.ts'
import type { ContainerResponse } from '../../hack/lab/kubelet/wire.ts'

/** One run. */
export interface Observed {
  /** Exit code of a program that ended by itself; null: it ran until it was told to end. */
  readonly exit: number | null
  /** The end of its log, for people. */
  readonly log: string
  /** Registered resources by name. */
  readonly resources: Readonly<Record<string, Resource>>
  /** Files behind the last Allocate, by path: device information as JSON. */
  readonly deviceInfo: Readonly<Record<string, unknown>>
  /** CDI devices by their qualified name: device nodes by their path in the container. */
  readonly cdi: Readonly<Record<string, CdiNodes>>
  /** Files and sockets behind SIGTERM. */
  readonly left: readonly string[]
  /** Exit code behind SIGTERM; null for a program that had ended before. */
  readonly exitAtTerm: number | null
}

/** A resource as it was offered and given. */
export interface Resource {
  readonly way: 'watcher' | 'legacy'
  readonly devices: readonly KnownDevice[]
  /** Answers of Allocate by the ids that were asked for. */
  readonly allocations: Readonly<Record<string, ContainerResponse | { readonly error: string }>>
}

/** Host path and permissions of a device node by its path in the container. */
export type CdiNodes = Readonly<Record<string, { readonly hostPath: string; readonly permissions: string }>>
