/** DEL and the records of a newer format: a pod must be able to end after the program was set back to a former version. */
import { notice } from '../lib/log/notice.ts'
import { RecordError } from './record.ts'
import type { RecordName, RecordStore } from './store.ts'

/**
 * The store as DEL sees it: a record of a newer format is read as far as it is understood, and it stays as it is, with its report,
 * whatever DEL has removed. Stderr says so of the records of `attachment`, whose DEL it is: others are only looked at. `plugin` is the
 * name for that.
 */
export function keepingNewer<J>(
  store: RecordStore<J>,
  plugin: string,
  attachment: Pick<RecordName, 'containerID' | 'ifname'>,
): RecordStore<J> {
  const isOwn = ({ containerID, ifname }: RecordName) =>
    containerID === attachment.containerID && ifname === attachment.ifname
  const kept = new Set<string>()
  return {
    ...store,
    read: (name) => {
      try {
        return store.read(name)
      } catch (error) {
        if (!(error instanceof RecordError) || error.code !== 'newer') throw error
        const found = store.understood(name)
        if (found === undefined) throw error
        const { record, left } = found
        const without = left.length === 0 ? '' : ` (it does not understand ${left.join(', ')})`
        if (isOwn(name) && !kept.has(name.path))
          notice(
            `${plugin}: ${error.message}; DEL restores what it understands of it${without}, and the record is kept`,
          )
        kept.add(name.path)
        return record
      }
    },
    write: (subject, record, durability) => {
      const { containerID, ifname } = record.owner
      const name = store.nameOf(subject, containerID, ifname)
      return kept.has(name.path) ? name : store.write(subject, record, durability)
    },
    remove: (name) => {
      if (!kept.has(name.path)) store.remove(name)
    },
  }
}
