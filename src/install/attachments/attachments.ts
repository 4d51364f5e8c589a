/** Attachments of pods on this node: those that an uninstall would break, and those that this build would not understand. */
import type { Machine } from '../../kernel/api/machine.ts'
import { errorText } from '../../lib/error-text.ts'
import { isAlive } from '../../ops/owner-netns.ts'
import { attachFolder, attachRecords } from '../../records/attach.ts'
import { offloadFolders, offloadRecords } from '../../records/offload.ts'
import { type Owner, RecordError } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'

/** An attachment, by its record. */
export interface Attachment {
  /** The name that its plugin was called by, for another call: `vf-attach`, `vf-offload`, `portmap`, `bandwidth`. */
  readonly plugin: string
  readonly stateDir: string
  readonly name: RecordName
  /** Undefined for a record that this build does not understand. */
  readonly owner: Owner | undefined
  /** The words for a record of a newer format. */
  readonly newer: string | undefined
  /** The namespace of the pod is there. Of a record that is not understood nobody knows. */
  readonly isAlive: boolean
}

/** The attachments with records in these folders. vf-offload comes first, as in the DEL of a list. */
export function attachmentsIn(machine: Machine, stateDirs: readonly string[]): readonly Attachment[] {
  return stateDirs.flatMap((stateDir) => [
    ...offloadFolders.flatMap((folder) =>
      inStore(
        machine,
        stateDir,
        folder === 'offload' ? 'vf-offload' : folder,
        offloadRecords(stateDir, folder),
      ),
    ),
    ...inStore(machine, stateDir, `vf-${attachFolder}`, attachRecords(stateDir)),
  ])
}

function inStore<J>(
  machine: Machine,
  stateDir: string,
  plugin: string,
  store: RecordStore<J>,
): readonly Attachment[] {
  return store.list().flatMap((name): Attachment[] => {
    const common = { plugin, stateDir, name }
    try {
      const record = store.read(name)
      if (record === undefined) return []
      return [{ ...common, owner: record.owner, newer: undefined, isAlive: isAlive(machine, record.owner) }]
    } catch (error) {
      if (!(error instanceof RecordError)) throw error
      const newer = error.code === 'newer' ? errorText(error) : undefined
      return [{ ...common, owner: undefined, newer, isAlive: true }]
    }
  })
}

/** An attachment in a line. */
export function attachmentWords({ plugin, name, owner, isAlive: alive }: Attachment): string {
  const { containerID, ifname, subject } = name
  const what = plugin === 'vf-attach' ? `device ${subject}` : `network ${subject}`
  const life =
    owner === undefined ? 'its record can not be read' : alive ? 'its pod lives' : 'its pod is gone'
  return `container ${containerID}, interface ${ifname}: ${plugin}, ${what}; ${life}`
}
