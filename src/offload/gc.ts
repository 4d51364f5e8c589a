/** GC of what has a record. A pod that lives keeps its mappings and limits: to take them from it would be an outage. */
import { CniError, code } from '../cni/error.ts'
import { failure } from '../cni/failure.ts'
import { listedBy } from '../cni/listed.ts'
import type { Request } from '../cni/request.ts'
import type { LinkFacts } from '../kernel/facts.ts'
import type { Machine } from '../kernel/machine.ts'
import { isGone } from '../ops/held-netns.ts'
import { openOwnersNetns } from '../ops/owner-netns.ts'
import { type Owner, RecordError } from '../ops/record.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import type { OffloadJournal } from './record.ts'
import { removeNamed } from './remove.ts'
import { reportedBy } from './report.ts'
import type { Locked, RemovalSetting } from './sweep.ts'

/**
 * Removes what attachments of this network left behind that are not valid any more and whose namespace is gone. Without a
 * list of valid ones that is all; one that is missing from the list goes too when its interface is not in its namespace, is
 * reported when it is, and with `gcLive` goes all the same. Pods are looked at without the lock, and each attachment is removed in a
 * turn of its own. Returns the errors, after having tried all.
 */
export function collectGarbage(
  setting: RemovalSetting,
  request: Request,
  gcLive: boolean,
  locked: Locked,
): CniError[] {
  const errors: CniError[] = []
  const isListed = listedBy(request)
  for (const name of setting.store.list().filter(({ subject }) => subject === request.name)) {
    try {
      if (isListed(name) === true) continue
      const judged = readable(setting.store, name)
      if (!mustGo(setting, request, gcLive, name, judged)) continue
      removeNamed(setting, name, '', (action) =>
        locked(() => {
          // An ADD may have served the same name anew.
          const now = readable(setting.store, name)
          if (isOther(judged, now) && !mustGo(setting, request, gcLive, name, now)) throw new Unneeded()
          return action()
        }),
      )
    } catch (error) {
      if (error instanceof Unneeded) continue
      if (error instanceof Error && error.name === 'LockTimeout') throw error
      errors.push(failure(error))
    }
  }
  return errors
}

/** What was to go has come back. */
class Unneeded extends Error {}

function isOther(one: Read, other: Read): boolean {
  const ownerIn = (read: Read) => (typeof read === 'string' ? read : JSON.stringify(read.owner))
  return ownerIn(one) !== ownerIn(other)
}

/** @throws CniError 103 for one that is not valid, lives and must not be cut off */
function mustGo(
  { machine, store }: RemovalSetting,
  request: Request,
  gcLive: boolean,
  name: RecordName,
  found: Read,
): boolean {
  const hasList = request.validAttachments !== undefined
  if (found === 'nothing') return false
  if (found === 'broken') {
    // Only the report beside it may tell whose it is, and nothing says whether it is dead.
    if (hasList && !gcLive && livesByReport(machine, store, name)) throw livesOn(name)
    return hasList
  }
  if (isGone(machine, found.owner)) return true
  if (!hasList) return false
  if (!gcLive && isInPod(machine, found.owner, found.journal)) throw livesOn(name)
  return true
}

/** What became of reading a record. */
type Read = { readonly owner: Owner; readonly journal: OffloadJournal } | 'broken' | 'nothing'

/** The record's content; a newer version's is an error. */
function readable(store: RecordStore<OffloadJournal>, name: RecordName): Read {
  try {
    return store.read(name) ?? 'nothing'
  } catch (error) {
    if (!(error instanceof RecordError) || error.isNewer) throw error
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
  machine: Machine,
  store: RecordStore<OffloadJournal>,
  name: RecordName,
): boolean {
  const { netns, device } = reportedBy(store.readReport(name) ?? '')
  return netns !== undefined && isIn(machine, openOwnersNetns(machine, undefined, netns), name.ifname, device)
}

function isInPod(machine: Machine, owner: Owner, { port, device }: OffloadJournal): boolean {
  // A program that drives a VF has no interface to look for.
  if (port === 'userspace') return true
  const pod = openOwnersNetns(machine, owner, '')
  // Processes keep a namespace to which no path leads: what is in it can't be seen from here.
  return pod === undefined || isIn(machine, pod, owner.ifname, device)
}

/** Looks for the interface, whatever the pod calls it now; closes the namespace. */
function isIn(
  machine: Machine,
  pod: ReturnType<Machine['openNetns']> | undefined,
  ifname: string,
  device: string | undefined,
): boolean {
  if (pod === undefined) return false
  const kernel = machine.openKernel(pod)
  const isIt = ({ name, altnames, parent }: LinkFacts) =>
    name === ifname || altnames.includes(ifname) || (device !== undefined && parent === device)
  try {
    return kernel.links('pod').some(isIt)
  } finally {
    kernel.close()
    pod.close()
  }
}
