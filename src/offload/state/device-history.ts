/**
 * A VF goes from one attachment to the next while the DEL of the first may still be to come: what was there before the limits
 * of both, and whose it is to bring that back.
 */
import type { PortRateFacts } from '../../kernel/api/facts.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import type { PortRates, VfAttributes } from '../../ops/op.ts'
import { isAlive } from '../../ops/owner-netns.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import type { Attachment } from './identity.ts'

/** The records in which a device may be named. */
export interface DeviceRecords {
  readonly machine: Machine
  readonly store: RecordStore<OffloadJournal>
  /** Records under the plugin's other names. */
  readonly otherStores: readonly RecordStore<OffloadJournal>[]
  /** Those of vf-attach, whose names begin with the device. */
  readonly attachStore: Pick<RecordStore<unknown>, 'list' | 'read'>
  /** The attachment for whose sake things are removed. It has set nothing yet: a device that vf-attach has given it is taken by nobody. */
  readonly heir?: Holder
}

/** Rates of a VF on its PF, and of the devlink port of its representor. */
export interface RatesNow {
  readonly vf: { readonly index: number; readonly rate: VfAttributes['rate'] } | undefined
  readonly port: PortRateFacts | undefined
}

/**
 * The rates before the limits of attachments that have had the device. One of those may be in force still, when
 * its DEL never came: it is nobody's wish any more. `port` is undefined where it is as it is now.
 */
export function ratesBefore(
  records: DeviceRecords,
  attachment: Attachment,
  device: string | undefined,
  { vf, port }: RatesNow,
): { readonly vf: VfAttributes['rate']; readonly port: PortRates | undefined } {
  const now = { vf: vf?.rate, port: undefined }
  const isLimited = (vf?.rate?.max ?? 0) > 0 || (vf?.rate?.min ?? 0) > 0 || (port?.max ?? 0) > 0
  if (device === undefined || !isLimited) return now
  const ops = othersOf(records, attachment, device).flatMap(({ journal }) =>
    (journal.limits ?? []).flatMap((limit) => limit.ops),
  )
  const ofVf = ops.flatMap((op) =>
    op.do === 'vf.set' &&
    op.vf === vf?.index &&
    op.set.rate?.max === vf.rate?.max &&
    op.set.rate?.min === vf.rate?.min
      ? [op.was.rate]
      : [],
  )
  const ofPort = ops.flatMap((op) =>
    op.do === 'devlink.rate.set' &&
    op.handle === port?.handle &&
    op.set.max === port.max &&
    op.set.share === port.share
      ? [op.was]
      : [],
  )
  return { vf: ofVf[0] ?? now.vf, port: ofPort[0] }
}

/**
 * True when somebody else has the device now, whose rate may be the one that is set: not while vf-attach has it down as this
 * attachment's, else when another one lives of which vf-attach or this plugin says so.
 */
export function isTakenOver(records: DeviceRecords, attachment: Attachment, device: string): boolean {
  const { machine, attachStore, heir } = records
  const attached = attachStore.list().filter(({ subject }) => subject === device)
  if (attached.some((name) => isSame(name, attachment))) return false
  const others = [
    ...attached
      .filter((name) => heir === undefined || !isSame(name, heir))
      .flatMap((name) => readable(attachStore, name)),
    ...othersOf(records, attachment, device),
  ]
  return others.some(({ owner }) => isAlive(machine, owner))
}

function readable<J>(store: Pick<RecordStore<J>, 'read'>, name: RecordName): PluginRecord<J>[] {
  try {
    const record = store.read(name)
    return record === undefined ? [] : [record]
  } catch {
    return []
  }
}

/** Records of this boot of all other attachments that name the device and can be read. */
function othersOf(
  { machine, store, otherStores }: DeviceRecords,
  attachment: Attachment,
  device: string,
): PluginRecord<OffloadJournal>[] {
  return [store, ...otherStores].flatMap((one) =>
    one.list().flatMap((name) => {
      if (isSame(name, attachment)) return []
      return readable(one, name).filter(
        ({ journal, owner }) => journal.device === device && owner.bootId === machine.bootId(),
      )
    }),
  )
}

/** One container and interface. */
type Holder = Pick<Attachment, 'containerID' | 'ifname'>

function isSame(one: Holder, other: Holder): boolean {
  return one.containerID === other.containerID && one.ifname === other.ifname
}
