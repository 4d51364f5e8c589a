/** DEL finds everything of an attachment by cookie; the record only makes it quicker and names the pod. */
import { CniError, code } from '../cni/error.ts'
import type { Request } from '../cni/request.ts'
import type { OpenNetns } from '../kernel/machine.ts'
import { notice } from '../lib/notice.ts'
import { faultPoint } from '../ops/fault.ts'
import { isGone } from '../ops/held-netns.ts'
import { openOwnersNetns } from '../ops/owner-netns.ts'
import { type PluginRecord, RecordError } from '../ops/record.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import { releaseClsact } from './clsact.ts'
import { removeFilters } from './filters.ts'
import { type DeviceRecords, isTakenOver } from './handover.ts'
import type { Attachment } from './identity.ts'
import { otherEntries } from './other-entries.ts'
import type { RemovalPart } from './part.ts'
import type { OffloadJournal } from './record.ts'

/** What a removal works with. */
export interface RemovalSetting extends DeviceRecords {
  readonly parts: readonly RemovalPart[]
}

/**
 * Removes everything of the request's attachment. Needs no record, prevResult, runtimeConfig or namespace. What another
 * network has made for the same container and interface stays as long as the pod lives: a runtime may repeat the DEL of a
 * network that the pod has left for another one. Once the pod is gone it goes too: the network may have been renamed.
 * @throws CniError 103 when something could not be removed
 */
export function removeAttachment(setting: RemovalSetting, request: Request): void {
  const { machine, store } = setting
  const { containerId: containerID, ifname, name: network } = request
  const mine = store.list().filter((name) => name.containerID === containerID && name.ifname === ifname)
  const names = mine.filter((name) => name.subject === network || isDead(setting, store, name))
  if (!mine.some(({ subject }) => subject === network)) {
    const stays = mine.filter((name) => !names.includes(name))
    for (const { subject } of stays) {
      notice(
        `vf-offload: network "${network}" has no record of container "${containerID}", interface "${ifname}"; what network "${subject}" has made for it stays until a DEL of that network, because the pod lives`,
      )
    }
    // What is in the pod may be that of the other network, whose names there do not tell the two apart.
    const pod = stays.length > 0 ? undefined : openOwnersNetns(machine, undefined, request.netns)
    try {
      sweep(setting, { network, containerID, ifname }, pod, undefined)
    } finally {
      pod?.close()
    }
    // Its report is not lost with it.
    store.remove(store.nameOf(network, containerID, ifname))
  }
  for (const name of names) removeRecorded(setting, name, request.netns)
}

/** True when the record can be read and says that its owner's namespace is gone. */
export function isDead(
  { machine }: Pick<RemovalSetting, 'machine'>,
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): boolean {
  try {
    const record = store.read(name)
    return record !== undefined && isGone(machine, record.owner)
  } catch {
    return false
  }
}

/** Removes everything of the attachment that has a record at `name`, and the record. @throws CniError 103 */
export function removeRecorded(setting: RemovalSetting, name: RecordName, netns: string): void {
  const { machine, store } = setting
  const read = readUsable(store, name)
  const record = read === 'broken' ? undefined : read
  const pod = openOwnersNetns(machine, record?.owner, netns)
  try {
    const attachment = { network: name.subject, containerID: name.containerID, ifname: name.ifname }
    sweep(setting, attachment, pod, { journal: record?.journal })
  } finally {
    pod?.close()
  }
  // The rates of VF and devlink port that a record spoke of bear no cookie: whoever can read it may want to look.
  if (read === 'broken') {
    const aside = store.putAside(name)
    notice(
      `vf-offload: the record is put aside as "${aside}"; a rate of the VF or its devlink port, if it spoke of one, is as it was set`,
    )
  }
  store.remove(name)
}

/** The record, or that it can't be read: nearly all that matters can be found without it. */
function readUsable(
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): PluginRecord<OffloadJournal> | 'broken' | undefined {
  try {
    return store.read(name)
  } catch (error) {
    if (!(error instanceof RecordError) || error.isNewer) throw error
    notice(`vf-offload: ${error.message}; what it spoke of is looked for by cookie`)
    return 'broken'
  }
}

/**
 * Removes everything of an attachment: the filters of all parts in one search, since a dump is of all filters of the
 * host; then the rest, part by part. `found` is its record; without one each part goes by what the kernel shows. Cookies
 * do not tell entries of one list apart: what the record does not speak of, and in its absence what another name's does, is
 * another entry's. Each step is tried whatever became of the others.
 * @throws CniError 103 with all that could not be removed
 */
export function sweep(
  setting: RemovalSetting,
  attachment: Attachment,
  pod: OpenNetns | undefined,
  found: { readonly journal: OffloadJournal | undefined } | undefined,
): void {
  const { machine, store } = setting
  const kernel = machine.openKernel(pod)
  const errors: string[] = []
  const step = <T>(action: () => T): T | undefined => {
    try {
      faultPoint('op', 'before')
      const result = action()
      faultPoint('op', 'after')
      return result
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error))
      return undefined
    }
  }
  const { journal } = found ?? {}
  const links = new Set<number>()
  for (const link of [journal?.uplink, journal?.representor]) if (link !== undefined) links.add(link.ifindex)
  const touched = (ifindex: number) => {
    links.add(ifindex)
  }
  const expected = found !== undefined
  try {
    const parts = partsIn(setting, attachment, journal)
    const cookies = parts
      .filter((part) => journal === undefined || part.filters(journal))
      .map((part) => part.cookie(attachment, machine.sha256))
    const removed = step(() => (cookies.length === 0 ? [] : removeFilters(kernel, cookies)))
    for (const { ifindex } of removed ?? []) touched(ifindex)
    const taken = (device: string) => isTakenOver(setting, attachment, device)
    const told = { expected, isTakenOver: taken, step, touched }
    const removal = { machine, store, kernel, attachment, pod, journal, ...told }
    for (const part of parts.toReversed()) part.remove({ ...removal, filtersGone: removed !== undefined })
    for (const ifindex of links) step(() => releaseClsact(machine, kernel, ifindex))
  } finally {
    kernel.close()
  }
  if (errors.length > 0) {
    const { containerID, ifname } = attachment
    throw new CniError(
      code.notRestored,
      `Cannot remove everything of container "${containerID}", interface "${ifname}"`,
      { details: errors.join('; ') },
    )
  }
}

/** The parts that are this entry's to remove. */
function partsIn(
  { machine, parts, otherStores }: RemovalSetting,
  attachment: Attachment,
  journal: OffloadJournal | undefined,
): readonly RemovalPart[] {
  if (journal !== undefined) return parts.filter((part) => part.recorded(journal))
  const others = otherEntries({ machine, otherStores }, attachment)
  return parts.filter((part) => !others.some((other) => part.recorded(other)))
}
