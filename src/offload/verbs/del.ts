/** DEL finds everything of an attachment by its record or, without one, by cookie; and the pod by either. */
import type { Request } from '../../cni/request.ts'
import { notice } from '../../lib/log/notice.ts'
import { isGone } from '../../ops/held-netns.ts'
import { openOwnersNetns } from '../../ops/owner-netns.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import { type PluginRecord, RecordError } from '../../records/record.ts'
import { type RecordName, type RecordStore, textOrNone } from '../../records/store.ts'
import type { Locked, RemovalContext } from './context.ts'
import { sweep, sweepPodFirst, sweepUnrecorded } from './sweep.ts'

/**
 * Removes everything of the request's attachment. Needs no record, prevResult, runtimeConfig or namespace. What another
 * network has made for the same container and interface stays as long as the pod lives: a runtime may repeat the DEL of a
 * network that the pod has left for another one. Once the pod is gone it goes too: the network may have been renamed.
 * @throws CniError 103 when something could not be removed
 */
export function removeAttachment(context: RemovalContext, request: Request, locked: Locked): void {
  const { store } = context
  const { containerID, ifname, name: network, netns } = request
  const own = store.nameOf(network, containerID, ifname)
  removeNamed(context, own, netns, locked, () => {
    for (const name of store.listOf(containerID, ifname))
      if (name.subject !== network && isDead(context, store, name)) removeRecorded(context, name, netns)
  })
}

/** Says what stays of other networks, where this one has no record. */
function tellOfOthers(context: RemovalContext, { subject, containerID, ifname }: RecordName): void {
  const { store } = context
  const mine = store.listOf(containerID, ifname)
  if (mine.some((name) => name.subject === subject)) return
  for (const name of mine) {
    if (isDead(context, store, name)) continue
    notice(
      `vf-offload: network "${subject}" has no record of container "${containerID}", interface "${ifname}"; what network "${name.subject}" has made for it stays until a DEL of that network, because the pod lives`,
    )
  }
}

/** True when the record can be read and says that its owner's namespace is gone. */
export function isDead(
  { machine }: Pick<RemovalContext, 'machine'>,
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

/** Removes everything of the attachment that has a record at `name`, and the record. The lock is held. @throws CniError 103 */
export function removeRecorded(context: RemovalContext, name: RecordName, netns: string): void {
  const record = usable(context.store, name)
  if (record === undefined) removeNamed(context, name, netns, (action) => action())
  else removeBy(context, name, record, netns)
}

/**
 * Removes everything of the attachment that has, or had, a record at `name`. The lock is not held: it is taken for what is done on the
 * host by the record and, where that is of no use, for what a look without it has found. `more` is run under it, in the end. `judge` sees
 * each record before anything of it is removed, and may throw.
 * @throws CniError 103
 */
export function removeNamed(
  context: RemovalContext,
  name: RecordName,
  netns: string,
  locked: Locked,
  more: () => void = () => undefined,
  judge: (seen: PluginRecord<OffloadJournal>) => void = () => undefined,
): void {
  const { machine, store } = context
  if (removeSeen(context, name, netns, locked, more, judge)) return
  const pod = openOwnersNetns(machine, undefined, netns)
  try {
    const isRecorded = () => usable(store, name) !== undefined
    sweepUnrecorded(context, attachmentOf(name), pod, locked, isRecorded, () => {
      const record = usable(store, name)
      if (record === undefined) {
        tellOfOthers(context, name)
        dropRecord(store, name)
      } else removeBy(context, name, record, netns)
      more()
    })
  } finally {
    pod?.close()
  }
}

/** Removes by the record that is there, and by a newer one where an ADD writes that meanwhile. False without one that can be used. */
function removeSeen(
  context: RemovalContext,
  name: RecordName,
  netns: string,
  locked: Locked,
  more: () => void,
  judge: (seen: PluginRecord<OffloadJournal>) => void,
): boolean {
  const { machine, store } = context
  for (;;) {
    if (!isListed(store, name)) return false
    // The text tells whether it is the same one, without reading it as a record once more.
    const text = textOrNone(name.path)
    const seen = readOrWhy(store, name)
    if (seen === undefined || typeof seen === 'string') return false
    judge(seen)
    const pod = openOwnersNetns(machine, seen.owner, netns)
    try {
      const isSame = () => textOrNone(name.path) === text
      const finish = () => {
        store.remove(name)
        more()
      }
      if (sweepPodFirst(context, attachmentOf(name), pod, seen, { locked, isSame, finish })) return true
    } finally {
      pod?.close()
    }
  }
}

function removeBy(
  context: RemovalContext,
  name: RecordName,
  record: PluginRecord<OffloadJournal>,
  netns: string,
): void {
  const pod = openOwnersNetns(context.machine, record.owner, netns)
  try {
    sweep(context, attachmentOf(name), pod, record)
  } finally {
    pod?.close()
  }
  context.store.remove(name)
}

function attachmentOf({ subject: network, containerID, ifname }: RecordName) {
  return { network, containerID, ifname }
}

/** Removes what there is of a record that is of no use, and its report. */
function dropRecord(store: RecordStore<OffloadJournal>, name: RecordName): void {
  const read = isListed(store, name) ? readOrWhy(store, name) : undefined
  if (typeof read === 'string') {
    notice(`vf-offload: ${read}; what it spoke of is looked for by cookie`)
    // The rates of VF and devlink port that a record spoke of bear no cookie: whoever can read it may want to look.
    const aside = store.putAside(name)
    notice(
      `vf-offload: the record is put aside as "${aside}"; a rate of the VF or its devlink port, if it spoke of one, is as it was set`,
    )
  }
  store.remove(name)
}

/** By its name: one that is too long for a file is in no list, and can't be opened. */
function isListed(store: RecordStore<OffloadJournal>, { subject, containerID, ifname }: RecordName): boolean {
  return store.find(subject, containerID, ifname) !== undefined
}

/** The record; undefined without one that can be read. Nearly all that matters can be found without it. */
function usable(
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): PluginRecord<OffloadJournal> | undefined {
  const read = isListed(store, name) ? readOrWhy(store, name) : undefined
  return typeof read === 'string' ? undefined : read
}

/** The record, or why it can't be read. @throws RecordError for a newer version's */
function readOrWhy(
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): PluginRecord<OffloadJournal> | string | undefined {
  try {
    return store.read(name)
  } catch (error) {
    if (!(error instanceof RecordError) || error.code === 'newer') throw error
    return error.message
  }
}
