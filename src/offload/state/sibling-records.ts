/** Records of the same attachment under other names of the plugin: other entries of one list have made them. */
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import type { DeviceRecords } from './device-history.ts'
import type { Attachment } from './identity.ts'

/** A record with its name, and the store that has it. */
interface OtherRecord {
  readonly store: RecordStore<OffloadJournal>
  readonly name: RecordName
  readonly record: PluginRecord<OffloadJournal>
}

type Others = Pick<DeviceRecords, 'machine' | 'otherStores'>

/** The journals of the attachment under other names since the last boot. A record that can't be read tells nothing. */
export function otherEntries(others: Others, attachment: Attachment): OffloadJournal[] {
  return otherRecords(others, attachment).map(({ record }) => record.journal)
}

/** The records of those entries. */
export function otherRecords(
  { machine, otherStores }: Others,
  { network, containerID, ifname }: Attachment,
): OtherRecord[] {
  return otherStores.flatMap((store) => {
    const name = store.nameOf(network, containerID, ifname)
    try {
      const record = store.read(name)
      return record?.owner.bootId === machine.bootId() ? [{ store, name, record }] : []
    } catch {
      return []
    }
  })
}
