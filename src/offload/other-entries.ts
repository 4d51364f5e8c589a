/** What else of a list has a record of the attachment, under another name of the plugin. */
import type { DeviceRecords } from './handover.ts'
import type { Attachment } from './identity.ts'
import type { OffloadJournal } from './record.ts'

/** What entries of other names have made for the attachment since the last boot. A record that can't be read tells nothing. */
export function otherEntries(
  { machine, otherStores }: Pick<DeviceRecords, 'machine' | 'otherStores'>,
  { network, containerID, ifname }: Attachment,
): OffloadJournal[] {
  return otherStores.flatMap((store) => {
    try {
      const record = store.read(store.nameOf(network, containerID, ifname))
      return record?.owner.bootId === machine.bootId() ? [record.journal] : []
    } catch {
      return []
    }
  })
}
