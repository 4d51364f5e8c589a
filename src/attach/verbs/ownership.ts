/**
 * The owner of a device. A record names the owner as long as the namespace in it lives. A device that a dead owner has left is
 * restored before the next owner gets it. The caller holds the device's lock.
 */

import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type PluginRecord, RecordError } from '../../records/record.ts'
import type { RecordName } from '../../records/store.ts'
import { pciOf } from '../device/live.ts'
import type { Device } from '../device/select.ts'
import { isOwned, requireClosed } from '../device/userspace.ts'
import { withDeviceLock } from '../foreign/device-lock.ts'
import { inUse, sriovDir } from '../foreign/sriov.ts'
import { restoreAttachment } from '../restore/attachment.ts'
import type { AttachContext } from '../state/context.ts'
import { awaitIpam } from './spawn.ts'

/** The attachment has left another device, which has to be restored under the lock of its own, before this one is locked. */
class LeftBehind extends Error {
  readonly record: RecordName
  constructor(record: RecordName) {
    super(`"${record.subject}" has to be restored first`)
    this.name = 'LeftBehind'
    this.record = record
  }
}

/**
 * Runs `add`, which takes the device's lock and calls requireUnowned(). Where the attachment has left another device, that
 * one is restored and `add` run again: never with both locks, or two ADDs could wait for each other.
 */
export function withoutLeftovers<T>(context: AttachContext, stateDir: string, add: () => T): T {
  const { machine, store } = context
  for (;;) {
    try {
      return add()
    } catch (error) {
      if (!(error instanceof LeftBehind)) throw error
      const name = error.record
      withDeviceLock(machine, stateDir, name.subject, () => {
        // The holder of the lock before us may have restored the device, or given it to its next owner.
        const record = store.read(name)
        if (record === undefined || isOwned(machine, record)) return
        if (!isFromBefore(machine, record)) requireClosed(pciOf(record.journal))
        awaitIpam(machine, name)
        restoreAttachment(machine, store, name, '')
      })
    }
  }
}

/**
 * Makes sure that the device is nobody's and that the attachment has no other device. True when something was restored
 * for that, so that what was known of the device is out of date.
 * @throws CniError 11 that names the owner, or what {@link withoutLeftovers} catches
 */
export function requireUnowned(context: AttachContext, request: Request, device: Device): boolean {
  const { machine, store } = context
  let isRestored = false
  for (const name of store.list()) {
    const same = name.containerID === request.containerID && name.ifname === request.ifname
    if (name.subject !== device.id && !same) continue
    const record = readRecord(context, name, device)
    if (record === undefined) continue
    if (!isOwned(machine, record)) {
      const isOld = isFromBefore(machine, record)
      if (!isOld) requireClosed(pciOf(record.journal))
      notice(
        isOld
          ? `vf-attach: record "${name.path}" is from before the last boot, it is dropped`
          : `vf-attach: ${whyLeft(record)}, "${name.subject}" is restored first`,
      )
      if (name.subject !== device.id) throw new LeftBehind(name)
      awaitIpam(machine, name)
      restoreAttachment(machine, store, name, '')
      if (!isOld) isRestored = true
      continue
    }
    throw new CniError(
      code.tryAgainLater,
      name.subject === device.id
        ? `Cannot use "${device.id}": it belongs to ${ownerWords(record)}`
        : `Cannot attach "${device.id}": ${ownerWords(record)} has "${name.subject}" already and needs a DEL first`,
      { details: name.path },
    )
  }
  requireNotSriovs(context, device)
  return isRestored
}

/** A record of sriov-cni counts as long as its namespace lives: another container has the device then, since ours has no record. */
function requireNotSriovs({ machine }: AttachContext, { id, pci }: Device): void {
  const used = pci?.vf === undefined ? undefined : inUse(machine, pci.address)
  if (used === undefined) return
  throw new CniError(
    code.tryAgainLater,
    `Cannot use "${id}": it belongs to the namespace "${used.netnsPath}", says sriov-cni`,
    { details: `${sriovDir}/pci/${id}` },
  )
}

/** A record, undefined when there is none to respect. */
function readRecord(
  { store }: AttachContext,
  name: RecordName,
  device: Device,
): PluginRecord<AttachJournal> | undefined {
  try {
    return store.read(name)
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    if (name.subject !== device.id) {
      if (error.code === 'newer') throw refusal(`Cannot attach "${device.id}"`, error, name)
      notice(`vf-attach: ${error.message}; it is passed over`)
      return undefined
    }
    // A device that lies on the host is in no pod, whatever the record was to say.
    const isHere = device.netdevs.length > 0 || device.pci?.userspace === true
    if (error.code === 'newer' || !isHere) throw refusal(`Cannot use "${device.id}"`, error, name)
    notice(`vf-attach: ${error.message}; it is put aside as "${store.putAside(name)}"`)
    return undefined
  }
}

function refusal(cannot: string, error: RecordError, { path }: RecordName): CniError {
  return new CniError(code.tryAgainLater, `${cannot}: ${error.message}`, { details: path })
}

/** True for a record from before the last boot. It says nothing about the device now, which another program may have open. */
function isFromBefore(machine: Machine, { owner }: PluginRecord<AttachJournal>): boolean {
  return owner.bootId !== machine.bootId()
}

function whyLeft(record: PluginRecord<AttachJournal>): string {
  return record.journal.pendingClose === true
    ? `a program had "${record.journal.device.id}" open at the DEL of ${ownerWords(record)}`
    : `the namespace of ${ownerWords(record)} is gone`
}

function ownerWords({ owner }: PluginRecord<AttachJournal>): string {
  return `container "${owner.containerID}", interface "${owner.ifname}", network "${owner.network}"`
}
