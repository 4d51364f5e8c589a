/** GC of what has a record. A pod that lives keeps its mappings and limits: to take them from it would be an outage. */

import { CniError, code } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import { listedBy } from '../../cni/listed.ts'
import type { Request } from '../../cni/request.ts'
import type { OpenNetns } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { isGone } from '../../ops/held-netns.ts'
import { openOwnersNetns } from '../../ops/owner-netns.ts'
import type { OffloadJournal } from '../../records/offload.ts'
import { type Owner, RecordError } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import { recordedTraits } from '../port/kinds.ts'
import { isTakenOver } from '../state/device-history.ts'
import { reportedBy } from '../state/report.ts'
import type { Locked, RemovalContext } from './context.ts'
import { removeNamed } from './del.ts'

/**
 * Removes what attachments of this network left behind that are not valid any more and whose namespace is gone. Without a
 * list of valid ones that is all; one that is missing from the list goes too when its interface is known to have left its namespace,
 * is reported when it is not, and with `gcLive` goes all the same. Each attachment is removed in a
 * turn of its own, and judged without the lock. Returns the errors, after having tried all.
 */
export function collectGarbage(
  context: RemovalContext,
  request: Request,
  gcLive: boolean,
  locked: Locked,
): CniError[] {
  const errors: CniError[] = []
  const isListed = listedBy(request)
  for (const name of context.store.list().filter(({ subject }) => subject === request.name)) {
    try {
      if (isListed(name) === true) continue
      while (!collect(context, request, gcLive, locked, name));
    } catch (error) {
      if (isOfKind(error, 'lock-timeout')) throw error
      errors.push(failure(error))
    }
  }
  return errors
}

/** An ADD has served the same name since it was judged. */
class ServedAnew extends Error {}

/** Removes an attachment that must go. False, with nothing of the new one touched, where there is another one by now: that is to be judged. */
function collect(
  context: RemovalContext,
  request: Request,
  gcLive: boolean,
  locked: Locked,
  name: RecordName,
): boolean {
  const judged = readable(context.store, name)
  if (!mustGo(context, request, gcLive, name, judged)) return true
  const judge = (seen: Read) => {
    if (isOther(judged, seen)) throw new ServedAnew()
  }
  const turn: Locked = (action) =>
    locked(() => {
      judge(readable(context.store, name))
      return action()
    })
  try {
    removeNamed(context, name, '', turn, undefined, judge)
    return true
  } catch (error) {
    if (error instanceof ServedAnew) return false
    throw error
  }
}

function isOther(one: Read, other: Read): boolean {
  const ownerIn = (read: Read) => (typeof read === 'string' ? read : JSON.stringify(read.owner))
  return ownerIn(one) !== ownerIn(other)
}

/** @throws CniError 103 for one that is not valid, lives and must not be cut off */
function mustGo(
  context: RemovalContext,
  request: Request,
  gcLive: boolean,
  name: RecordName,
  found: Read,
): boolean {
  const { machine, store } = context
  const hasList = request.validAttachments !== undefined
  if (found === 'nothing') return false
  if (found === 'broken') {
    // Only the report beside it may tell whose it is, and nothing says whether it is dead.
    if (hasList && !gcLive && livesByReport(context, store, name)) throw livesOn(name)
    return hasList
  }
  if (isGone(machine, found.owner)) return true
  if (!hasList) return false
  if (!gcLive && !hasLeft(context, found.owner, found.journal)) throw livesOn(name)
  return true
}

/** The outcome of reading a record. */
type Read = { readonly owner: Owner; readonly journal: OffloadJournal } | 'broken' | 'nothing'

/** The record's content; a newer version's is an error. */
function readable(store: RecordStore<OffloadJournal>, name: RecordName): Read {
  try {
    return store.read(name) ?? 'nothing'
  } catch (error) {
    if (!(error instanceof RecordError) || error.code === 'newer') throw error
    return 'broken'
  }
}

/** The error for an attachment that is not valid, and that a living pod has. */
export function livesOn({ containerID, ifname, path }: RecordName): CniError {
  return new CniError(
    code.notRestored,
    `Cannot collect the port mappings and limits of container "${containerID}", interface "${ifname}": it is not a valid attachment, but its namespace lives; key "gcLive" has it taken all the same`,
    { details: path },
  )
}

/** True when the pod of an attachment whose record is lost lives, by the report that was beside it. */
export function livesByReport(
  context: Pick<RemovalContext, 'machine'>,
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): boolean {
  const { netns, device } = reportedBy(store.readReport(name) ?? '')
  const pod = netns === undefined ? undefined : openOwnersNetns(context.machine, undefined, netns)
  if (pod === undefined) return false
  try {
    return device === undefined || !isBack(context, pod, device)
  } finally {
    pod.close()
  }
}

/**
 * True where it is shown that the interface has left its pod, which lives: its pair or its device is gone, its device is on the host or
 * another pod's. That the pod has none of its name shows nothing: a pod calls its interfaces what it likes, and hides them where it likes.
 */
function hasLeft(context: RemovalContext, owner: Owner, { port, device, link }: OffloadJournal): boolean {
  if (link?.peer !== undefined) return !isVeth(context, link.peer)
  if (device === undefined) return false
  // A program that drives a VF has no interface.
  if (recordedTraits(port)?.isUserspace === true) return isNoMore(device)
  const pod = openOwnersNetns(context.machine, owner, '')
  try {
    return isBack(context, pod, device) || isTakenOver(context, owner, device)
  } finally {
    pod?.close()
  }
}

/** True for a VF that its PF has no more (`sriov_numvfs`). */
function isNoMore(device: string): boolean {
  const address = parsePciAddress(device)
  return address !== undefined && readPciFunction(address) === undefined
}

/** An interface of the host that has the number now may be another one: then what is kept is kept too long. */
function isVeth({ machine }: RemovalContext, ifindex: number): boolean {
  const kernel = machine.openKernel()
  try {
    return kernel.link('host', ifindex)?.kind === 'veth'
  } finally {
    kernel.close()
  }
}

/**
 * True for a device that is gone, or has an interface on the host (sysfs shows those of no other namespace), while the pod shows none of
 * it. A function can have several interfaces: one that is on the host says nothing about the others.
 */
function isBack(
  { machine }: Pick<RemovalContext, 'machine'>,
  pod: OpenNetns | undefined,
  device: string,
): boolean {
  const address = parsePciAddress(device)
  if (address === undefined) return false
  const pci = readPciFunction(address)
  if (pci?.netdevs.length === 0) return false
  if (pod === undefined) return true
  const parents = pci?.parents ?? [device]
  const kernel = machine.openKernel(pod)
  try {
    return !kernel.links('pod').some(({ parent }) => parent !== undefined && parents.includes(parent))
  } finally {
    kernel.close()
  }
}
