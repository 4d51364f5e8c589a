/** DEL's half that concerns the device of one record. */
import { CniError, code } from '../../cni/error.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { type PciAddress, parsePciAddress } from '../../lib/pci-address.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { openOwnersNetns } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { RecordError } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import { withPeerNow, withPeerOf } from '../device/peers.ts'
import { keptWhileOpen } from '../device/userspace.ts'
import { isTakenOver, release } from '../foreign/sriov.ts'
import { salvage } from '../state/salvage.ts'
import { restoreDevice } from './device.ts'
import { pollMilliseconds, returnMilliseconds } from './find-device.ts'

/**
 * Restores the device of one record and removes the record once a second look finds nothing left to restore. The
 * device's lock is held by the caller. `netns` is the path that this call named; it may be empty or stale. `leaving` is called when the
 * interface is down and is about to leave the pod.
 * The record stays, too, while a program in user space has the device open: then it is restored later.
 * @throws CniError 103 with every reason when something differs in the end; the record stays then
 */
export function restoreAttachment(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  name: RecordName,
  netns: string,
  leaving?: () => void,
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
      const keep = (now: AttachJournal) =>
        store.write(name.subject, { ...record, journal: withPeerOf(now, record.journal) }, 'volatile')
      restoreDevice(machine, kernel, journal, view, { keep, leaving })
    }
  } finally {
    kernel.close()
    pod?.close()
  }
  if (address !== undefined) release(address, record.owner.netns)
  store.remove(name)
}

/**
 * A broken record must not keep its pod from being deleted: DEL does all that it can without the record, and puts it aside. The
 * record stays as long as hardware is in a pod that this call can't reach. Once that pod is gone the kernel brings the interface home.
 * @throws CniError 103
 */
function readOrSalvage(machine: Machine, store: RecordStore<AttachJournal>, name: RecordName, netns: string) {
  try {
    return store.read(name)
  } catch (error) {
    if (!(error instanceof RecordError) || error.code === 'newer') throw error
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
