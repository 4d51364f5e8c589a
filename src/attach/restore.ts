/** DEL's half that concerns the device: from whatever state it is in back to the one in the journal, verified. */
import { CniError, code } from '../cni/error.ts'
import type { LinkFacts } from '../kernel/facts.ts'
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { notice } from '../lib/notice.ts'
import { type PciAddress, parsePciAddress } from '../lib/pci-address.ts'
import { addVerbFields, step } from '../lib/steps.ts'
import { stackOf } from '../nic/netdev.ts'
import { readPciFunction } from '../nic/pci.ts'
import { applyAll, type Runner } from '../ops/apply.ts'
import { describe } from '../ops/describe.ts'
import { openOwnersNetns } from '../ops/owner-netns.ts'
import { RecordError } from '../ops/record.ts'
import type { RecordName, RecordStore } from '../ops/record-store.ts'
import { isTakenOver, release } from './foreign/sriov.ts'
import { giveBack } from './give-back.ts'
import { homeward } from './homeward.ts'
import { isSoftware, isSole } from './identity.ts'
import { type PodView, pciOf, readLive } from './live.ts'
import { noteAnewAtHome, noteHome, noteReturn, startsAnew } from './note.ts'
import { withPeerNow, withPeerOf } from './peers.ts'
import { keptByMode, type LiveState, planRestore } from './plan-restore.ts'
import type { AttachJournal } from './record.ts'
import { dirtOf, untoldPrograms } from './residue.ts'
import { salvage } from './salvage.ts'
import { onePfChangeAtATime } from './setting.ts'
import { keptWhileOpen } from './userspace.ts'

/** How long to wait for the kernel to hand an interface back from a namespace that died, in milliseconds. */
const returnMilliseconds = 5_000
/** How long to wait for a pod to give back what it has moved to another namespace, which lives, in milliseconds. */
const elsewhereMilliseconds = 1_000
/** The same after the driver was told to start anew. */
const rebindMilliseconds = 20_000
const pollMilliseconds = 20
/** How long to wait for another card's interface to give up the name of ours, in milliseconds. */
const nameMilliseconds = 1_000

/** Rounds of look and restore before giving up. */
const maxRounds = 4
/** Rounds more for a device that a pod moves away between the look and the change. */
const maxChases = 16

/**
 * Restores the device of one record and removes the record once a second look finds nothing left to restore. The
 * device's lock is held by the caller. `netns` is the path that this call named; it may be empty or stale.
 * The record stays, too, while a program in user space has the device open: then it is restored later.
 * @throws CniError 103 with every reason when something differs in the end; the record stays then
 */
export function restoreAttachment(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  name: RecordName,
  netns: string,
): void {
  const record = readOrSalvage(machine, store, name, netns)
  if (record === undefined) return
  const { pci = '', parents } = record.journal.device
  const address = parsePciAddress(pci)
  if (address !== undefined && isTakenOver(machine, address, parents, record.owner)) {
    notice(`vf-attach: sriov-cni gave "${address}" to another namespace, record "${name.path}" is dropped`)
    store.remove(name)
    return
  }
  const pod = openOwnersNetns(machine, record.owner, netns)
  const kernel = machine.openKernel(pod)
  try {
    // After a reboot no VF carries anything of ours: numbers, names and settings all start anew.
    if (record.owner.bootId === machine.bootId()) {
      const { owner } = record
      const journal = withPeerNow(machine, store, kernel, record.journal)
      const moved = record.phase === 'attached' ? true : undefined
      const view = { pod: pod !== undefined, ifname: owner.ifname, moved }
      if (keptWhileOpen(machine, kernel, store, record, view)) return
      restoreDevice(machine, kernel, journal, view, (now) =>
        store.write(name.subject, { ...record, journal: withPeerOf(now, record.journal) }, 'volatile'),
      )
    }
  } finally {
    kernel.close()
    pod?.close()
  }
  if (address !== undefined) release(address, record.owner.netns)
  store.remove(name)
}

/**
 * A broken record must not keep its pod from being deleted: what can be done without it is done, and it is put aside. It stays as
 * long as hardware is in a pod that this call can't reach: once that pod is gone the kernel brings the interface home.
 * @throws CniError 103
 */
function readOrSalvage(machine: Machine, store: RecordStore<AttachJournal>, name: RecordName, netns: string) {
  try {
    return store.read(name)
  } catch (error) {
    if (!(error instanceof RecordError) || error.isNewer) throw error
    notice(`vf-attach: ${error.message}`)
    salvage(machine, name, netns, (kernel, journal) =>
      restoreDevice(machine, kernel, journal, { pod: true, ifname: name.ifname }),
    )
    const address = parsePciAddress(name.subject)
    if (address !== undefined) {
      requireAtHome(machine, address, error)
      release(address, netns)
    }
    notice(`vf-attach: the record is put aside as "${store.putAside(name)}"`)
    return undefined
  }
}

/** @throws CniError 103 for a function whose interface does not come home */
function requireAtHome(machine: Machine, address: PciAddress, cause: RecordError): void {
  for (let waited = 0; ; waited += pollMilliseconds) {
    const pci = readPciFunction(address)
    if (pci?.driver === undefined || pci.userspace || pci.netdevs.length > 0) return
    if (waited >= returnMilliseconds) break
    machine.sleep(pollMilliseconds)
  }
  const words = `Cannot restore "${address}": it is in a pod that this DEL does not name`
  throw new CniError(code.notRestored, words, { details: cause.message, cause })
}

/**
 * Leads the device back to its journal, in as many rounds as it takes: a driver may change one side when the other is
 * set (igb's PF reports the MAC that a VF gives itself), so only a look afterwards tells. `keep` writes the journal down
 * before an interface moves home that nothing but its number there tells from others.
 * @throws CniError 103
 */
export function restoreDevice(
  machine: Machine,
  kernel: Kernel,
  before: AttachJournal,
  view: PodView,
  keep: (journal: AttachJournal) => void = () => undefined,
): void {
  let journal = before
  const runner = homeward(kernel, before, onePfChangeAtATime(machine, kernel, before.device.pfPci))
  addVerbFields({ device: journal.device.id })
  const wait = view.moved === false ? 0 : returnMilliseconds
  let live = step('find', () =>
    awaitName(machine, kernel, journal, view, waitForDevice(machine, kernel, journal, view, wait)),
  )
  if (live === 'gone' && isSoftware(journal) && view.moved !== false) {
    notice(
      `vf-attach: "${journal.device.id}" is neither in the pod nor on the host: it has ended, or somebody has taken it`,
    )
  }
  if (view.moved === false && live !== 'gone' && isMissing(journal, live)) {
    notice(`vf-attach: "${journal.device.id}" was taken to another namespace meanwhile and is left there`)
    return
  }
  if (view.moved !== false) noteReturn(machine, journal, pciOf(journal))
  let errors: string[] = []
  const rebind = (why: string): LiveState | 'gone' => {
    const { pci = '', driver = '', ifindex } = journal.device
    notice(`vf-attach: "${pci}" ${why}, its driver ${driver} is bound anew`)
    const refusals = applyAll(runner, [{ do: 'driver.rebind', pci, driver }])
    errors.push(...refusals)
    const found = waitForDevice(machine, kernel, journal, view, rebindMilliseconds)
    if (refusals.length === 0) noteAnewAtHome(machine, pci, ifindex)
    return awaitName(machine, kernel, journal, view, found)
  }
  const startAnew = (found: LiveState): LiveState | 'gone' => {
    // The PF side first: a driver that starts anew takes what its PF holds for it.
    errors = applyAll(runner, planRestore(journal, { ...found, link: undefined }, true))
    return rebind('is in no namespace that can be reached')
  }
  if (live !== 'gone' && isMissing(journal, live) && mayRebind(journal)) live = startAnew(live)
  /** In rounds from `found` to where nothing differs, or nothing helps. */
  const lead = (found: LiveState | 'gone'): LiveState | 'gone' => {
    let now = found
    let chases = 0
    for (let round = 0; round < maxRounds && now !== 'gone'; round++) {
      const ops = planRestore(journal, now, round === 0)
      if (ops.length === 0) break
      const { homeIfindex } = now
      if (homeIfindex !== undefined && !isSole(journal)) {
        journal = { ...journal, device: { ...journal.device, homeIfindex } }
        noted(keep, journal)
      }
      errors = applyAll(runner, ops)
      // What has come home is out of the pod's reach, and was looked at.
      now = readLive(kernel, journal, errors.length > 0 ? view : { ...view, home: homeIfindex })
      if (now === 'gone' || now.link?.side === 'host' || !errors.some(saysItLeft)) continue
      if (++chases < maxChases) now = waitForDevice(machine, kernel, journal, view, wait)
      if (now !== 'gone' && (isMissing(journal, now) || chases === maxChases) && mayRebind(journal))
        now = startAnew(now)
      if (chases < maxChases) round--
    }
    return now
  }
  live = lead(live)
  const dirt = live === 'gone' ? [] : dirtOf(journal, live)
  // What of the node lies on it would end with its driver.
  if (dirt.length > 0 && mayRebind(journal) && !bearsOfNode(live)) {
    live = lead(rebind(`is not clean (${dirt.join(', ')})`))
  }
  if (live === 'gone') return
  requireRestored(journal, live, errors)
  const link = live.link?.facts
  if (link === undefined) return
  if (lacksSomething(kernel, journal, link)) giveBack(kernel, runner, journal, link)
  noteHome(machine, journal, leadTuning(kernel, runner, journal, link))
}

/** True for a device on the host that has something of the host on it. */
function bearsOfNode(live: LiveState | 'gone'): boolean {
  if (live === 'gone' || live.link?.side !== 'host') return false
  return stackOf(live.link.facts.name, live.master).uppers.length > 0
}

/** True for an operation's failure on an interface that has just left the pod. */
function saysItLeft(line: string): boolean {
  return /ENODEV|has taken the place of/.test(line)
}

/** True when the interface may not have all that it had beside itself. */
function lacksSomething(kernel: Kernel, { carried, settings }: AttachJournal, link: LinkFacts): boolean {
  if (carried !== undefined) return true
  if (settings === undefined) return false
  const now = kernel.settings(link)
  return now.v4 !== settings.v4 || now.v6 !== settings.v6
}

/**
 * Gives the interface back what ethtool and sysfs showed of it; true when it has that.
 * @throws CniError 103 for a device that does not take it back; one that starts anew before the next pod gets it is told
 */
function leadTuning(kernel: Kernel, runner: Runner, journal: AttachJournal, link: LinkFacts): boolean {
  const { device, tuning } = journal
  if (tuning === undefined) return true
  const opsNow = () =>
    kernel.tuningOps(link.name, tuning, kernel.tuning(link.name, Object.keys(tuning.files)))
  let left = opsNow()
  let errors: string[] = []
  // Queues that the pod has taken away have no files before the channels are back.
  for (let round = 0; round < tuningRounds && left.length > 0; round++) {
    errors = applyAll(runner, left)
    left = opsNow()
  }
  if (left.length === 0) return true
  const details = [...errors, ...left.map((op) => `still to do: ${describe(op)}`)].join('; ')
  if (!startsAnew(device.id, pciOf(journal), link.mac))
    throw new CniError(code.notRestored, `Cannot restore "${device.id}" to its state before ADD`, { details })
  notice(`vf-attach: "${device.id}" starts anew before a pod gets it again, until then: ${details}`)
  return false
}
const tuningRounds = 3

/** A DEL needs no room: without the note a DEL that is killed now leaves its repetition to go by name and MAC. */
function noted(keep: (journal: AttachJournal) => void, journal: AttachJournal): void {
  try {
    keep(journal)
  } catch (error) {
    notice(`vf-attach: Cannot note the number that "${journal.device.id}" gets on the host: ${String(error)}`)
  }
}

function requireRestored(journal: AttachJournal, live: LiveState, errors: readonly string[]): void {
  const { original, device } = journal
  const left = planRestore(journal, live, false)
  const missing = [
    ...(isMissing(journal, live)
      ? [live.elsewhere?.words ?? 'the interface is neither in the pod nor on the host']
      : []),
    ...(original.vf !== undefined && live.vf === undefined
      ? ['its physical function has no network interface on the host']
      : []),
  ]
  const dirt = dirtOf(journal, live)
  if (left.length === 0 && missing.length === 0 && dirt.length === 0) {
    const kept = keptByMode(journal, live)
    if (kept.length > 0) {
      const mode = live.vf?.switchdev === true ? 'switchdev' : 'legacy'
      notice(
        `vf-attach: the PF of "${device.id}" has changed to ${mode} mode since ADD, ${kept.join(', ')} of its VF ${kept.length === 1 ? 'stays' : 'stay'} as set now`,
      )
    }
    for (const line of changesAtHome(journal, live)) notice(`vf-attach: ${line}`)
    for (const what of untoldPrograms(journal, live))
      notice(
        `vf-attach: ${what} stays on "${device.id}": its record does not say whether it was there before ADD`,
      )
    return
  }
  throw new CniError(code.notRestored, `Cannot restore "${device.id}" to its state before ADD`, {
    details: [...missing, ...dirt, ...errors, ...left.map((op) => `still to do: ${describe(op)}`)].join('; '),
  })
}

/** What an interface that is home again could not get back: names and a number that others have now. */
function* changesAtHome(
  { device, original }: AttachJournal,
  { link, taken, lostMasters = new Set() }: LiveState,
): Iterable<string> {
  for (const name of lostMasters)
    yield `"${device.id}" was attached to "${name}" before ADD, which the host does not have any more`
  const now = link?.side === 'host' ? link.facts : undefined
  for (const name of taken) {
    const instead = name === original.link?.name && now !== undefined ? `; it is "${now.name}" now` : ''
    yield `"${device.id}" had the name "${name}" before ADD, another interface has it now${instead}`
  }
  if (now === undefined || device.ifindex === undefined || now.ifindex === device.ifindex) return
  yield `"${device.id}" had the number ${device.ifindex} before ADD, "${now.name}" has ${now.ifindex} now`
}

/** True when the device should have an interface and none is found. Under a user space driver it has none to restore. */
function isMissing(journal: AttachJournal, live: LiveState): boolean {
  if (journal.original.link === undefined || live.link !== undefined) return false
  return pciOf(journal)?.userspace !== true
}

/**
 * A namespace can be held for minutes by TCP sockets that nobody owns any more. Taking the function from its driver
 * brings its interface home at once, but it would take the VFs of a PF with it, and the other interfaces of the function.
 */
function mayRebind(journal: AttachJournal): boolean {
  const pci = pciOf(journal)
  const { driver } = journal.device
  // Without a driver it is where a call was killed that had it start anew.
  const isOurs = driver !== undefined && (pci?.driver ?? driver) === driver
  return pci !== undefined && isSole(journal) && isOurs && !pci.userspace && (pci.sriovNumvfs ?? 0) === 0
}

/** Where a journal's device is, if need be after the kernel has handed its interface back from a namespace that died. */
export function findDevice(
  machine: Machine,
  kernel: Kernel,
  journal: AttachJournal,
  view: PodView,
): LiveState | 'gone' {
  return waitForDevice(machine, kernel, journal, view, returnMilliseconds)
}

/**
 * The look once the name of the device is free. An interface whose driver begins anew gets the first name that is free, which may be that of
 * one that is in a pod, until its own call gives it its own.
 */
function awaitName(
  machine: Machine,
  kernel: Kernel,
  journal: AttachJournal,
  view: PodView,
  found: LiveState | 'gone',
): LiveState | 'gone' {
  const name = journal.original.link?.name
  let live = found
  for (let waited = 0; waited < nameMilliseconds; waited += pollMilliseconds) {
    if (live === 'gone' || name === undefined || !live.taken.has(name)) return live
    if (kernel.link('host', name)?.parentBus !== 'pci') return live
    machine.sleep(pollMilliseconds)
    live = readLive(kernel, journal, view)
  }
  return live
}

function waitForDevice(
  machine: Machine,
  kernel: Kernel,
  journal: AttachJournal,
  view: PodView,
  milliseconds: number,
): LiveState | 'gone' {
  const attempts = milliseconds / pollMilliseconds
  for (let attempt = 0; ; attempt++) {
    const live = readLive(kernel, journal, view)
    if (live === 'gone' || !isMissing(journal, live) || attempt >= attempts) return live
    if (live.elsewhere?.isEnding === false && attempt * pollMilliseconds >= elsewhereMilliseconds) return live
    // A namespace is torn down by a kernel worker some time after its last user is gone.
    machine.sleep(pollMilliseconds)
  }
}
