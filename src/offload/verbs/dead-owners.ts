/**
 * Things of attachments whose namespace is gone and whose DEL never came. Such attachments hold nothing, so an ADD that wants
 * one of their things removes it first, as DEL would. Nothing here is asked before there is a conflict.
 */
import { notice } from '../../lib/log/notice.ts'
import { ApplyError } from '../../ops/apply.ts'
import { isExisting, PortTaken } from '../../ops/port-taken.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import type { Port } from '../port/port.ts'
import type { DeviceRecords } from '../state/device-history.ts'
import type { Attachment } from '../state/identity.ts'
import type { OffloadContext } from './context.ts'
import { isDead, removeRecorded } from './del.ts'
import { ownerOf } from './port-owners.ts'

/** All records, and the features that any of them can be about. */
type EveryRecord = DeviceRecords & Pick<OffloadContext, 'everyFeature'>

/** The record of an attachment, and the store that has it. */
interface Recorded {
  readonly store: RecordStore<OffloadJournal>
  readonly name: RecordName
}

/**
 * Removes what dead attachments have that made an ADD of `heir` fail. The ADD must have been taken back. True when something
 * was removed: the ADD is worth another try then. Living owners, and those of which no record speaks, keep what they have.
 * @throws CniError 103 when something could not be removed
 */
export function clearTheWay(records: EveryRecord, heir: Attachment, port: Port, error: unknown): boolean {
  const dead = ownersInTheWay(records, port, error).filter(({ store, name }) => isDead(records, store, name))
  for (const one of dead) removeDead(records, heir, one)
  return dead.length > 0
}

/** True when what is on the port's wire, or was made for its device, is a dead attachment's. */
export function isHeldByDead(records: DeviceRecords, port: Port): boolean {
  return alongPort(records, port).some(({ store, name }) => isDead(records, store, name))
}

/** Removes everything of a dead attachment, and its record, for the sake of `heir`. @throws CniError 103 */
export function removeDead(records: EveryRecord, heir: Attachment, { store, name }: Recorded): void {
  const { machine, attachStore } = records
  const { containerID, ifname, subject } = name
  notice(
    `vf-offload: the namespace of container "${containerID}", interface "${ifname}", network "${subject}" is gone: what is left of its port mappings and limits is removed`,
  )
  const otherStores = [records.store, ...records.otherStores].filter((one) => one !== store)
  removeRecorded({ machine, store, otherStores, attachStore, heir, features: records.everyFeature }, name, '')
}

/** The owners of things that the kernel said are in the way: a cookie names one; without it all count that are along the port. */
function ownersInTheWay(records: DeviceRecords, port: Port, error: unknown): readonly Recorded[] {
  if (!(error instanceof ApplyError)) return []
  const { cause } = error
  if (cause instanceof PortTaken) {
    const owner = cause.cookie === undefined ? undefined : ownerOf(records, cause.cookie)
    return owner === undefined ? [] : [owner]
  }
  return isExisting(cause) ? alongPort(records, port) : []
}

/** Attachments of this boot whose records name the port's device, or the uplink that is its wire. */
function alongPort(
  { machine, store, otherStores }: DeviceRecords,
  { device, wire }: Port,
): readonly Recorded[] {
  return [store, ...otherStores].flatMap((one) =>
    one.list().flatMap((name) => {
      const { owner, journal } = readable(one, name) ?? {}
      if (journal === undefined || owner?.bootId !== machine.bootId()) return []
      const isAlong =
        (device !== undefined && journal.device === device) ||
        (wire !== undefined && journal.uplink?.ifindex === wire.uplink.ifindex)
      return isAlong ? [{ store: one, name }] : []
    }),
  )
}

function readable(store: RecordStore<OffloadJournal>, name: RecordName) {
  try {
    return store.read(name)
  } catch {
    return undefined
  }
}
