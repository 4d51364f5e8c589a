import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine, OpenNetns } from '../../kernel/api/machine.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { RecordStore } from '../../records/store.ts'

/** The node, the pod and the records that one ADD works with. */
export interface AttachContext {
  readonly machine: Machine
  readonly kernel: Kernel
  readonly pod: OpenNetns
  readonly store: RecordStore<AttachJournal>
}
