import { CniError, code } from '../../cni/error.ts'
import type { Request } from '../../cni/request.ts'
import type { Result } from '../../cni/result.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { notice } from '../../lib/log/notice.ts'
import type { PciAddress } from '../../lib/pci-address.ts'
import { holdingOf } from '../../nic/holders.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'
import type { AttachConfig } from '../config/config.ts'
import { Unusable } from '../device/carried.ts'
import { linkOfDevice } from '../device/facts.ts'
import { type Device, pciDevice, vfsBelow } from '../device/select.ts'
import { isOwned } from '../device/userspace.ts'
import { withDeviceLock } from '../foreign/device-lock.ts'
import { inUse, isTakenOver } from '../foreign/sriov.ts'
import type { AttachContext } from '../state/context.ts'
import { addLocked } from './add.ts'

/**
 * ADD with the first free VF of a PF, for runtimes without a device plugin. A VF is free when nobody holds its lock, no
 * living attachment of ours or of sriov-cni has it, and its interface is on the host, with no address and in no bridge:
 * an interface that the host uses is not given away. Those that a dead attachment has left come later, because they have to be restored
 * first. Last come those that a user space driver holds and no program has open: most pods want an interface. One that
 * could not be given back as it is, or by which the node lives, is passed over, and a notice says so.
 * @throws CniError 11 when none is left
 */
export function addFreeVf(
  context: AttachContext,
  request: Request,
  config: AttachConfig,
  pf: string,
): Result {
  const vfs = vfsBelow(context.kernel, pf)
  const recorded = new Set(context.store.list().map(({ subject }) => subject))
  const inOrder = [...vfs.filter((vf) => !recorded.has(vf)), ...vfs.filter((vf) => recorded.has(vf))]
  const later: PciAddress[] = []
  const passedOver: string[] = []
  const attempt = (address: PciAddress, isLast: boolean) =>
    tryLock(context, config.stateDir, address, () => {
      const device = freeDevice(context, address)
      if (device === undefined) return undefined
      if (!isLast && device.pci?.userspace === true) {
        later.push(address)
        return undefined
      }
      try {
        return addLocked(context, request, config, () => pciDevice(address, 'pf'))
      } catch (error) {
        // It is thrown before the first change, and another VF does as well.
        if (!(error instanceof Unusable)) throw error
        const words = `"${address}" is passed over: ${error.why}`
        notice(`vf-attach: ${words}`)
        passedOver.push(words)
        return undefined
      }
    })
  for (const address of inOrder) {
    const result = attempt(address, false)
    if (result !== undefined) return result
  }
  for (const address of later) {
    const result = attempt(address, true)
    if (result !== undefined) return result
  }
  throw new CniError(
    code.tryAgainLater,
    `Cannot use pf "${pf}": none of its ${vfs.length} virtual functions is free`,
    passedOver.length === 0 ? {} : { details: passedOver.join('; ') },
  )
}

/** Runs `action` if the VF's lock is free right now; undefined when somebody holds it. */
function tryLock<T>(
  { machine }: AttachContext,
  stateDir: string,
  address: PciAddress,
  action: () => T | undefined,
): T | undefined {
  let ran = false
  try {
    const attempt = () => {
      ran = true
      return action()
    }
    return withDeviceLock(machine, stateDir, address, attempt, 0)
  } catch (error) {
    if (!ran && isOfKind(error, 'lock-timeout')) return undefined
    throw error
  }
}

/** The VF, looked at now that its lock is held, if it is nobody's, or was somebody's whose namespace is gone. */
function freeDevice({ machine, kernel, store }: AttachContext, address: PciAddress): Device | undefined {
  const claim = inUse(machine, address)
  const name = store.list().find(({ subject }) => subject === address)
  const left = name === undefined ? undefined : leftRecord(machine, store, name)
  if (name !== undefined && left === undefined) return undefined
  // Our own claim counts no more than its record, though another namespace may have its path by now.
  if (claim !== undefined && (left === undefined || isAnothers(machine, address, left))) return undefined
  const device = pciDevice(address, 'pf')
  if (device.pci?.userspace === true) return holdingOf(device.pci) === undefined ? device : undefined
  if (name !== undefined) return device
  if (device.netdevs.length !== 1) return undefined
  const link = linkOfDevice(kernel, device)
  if (link === undefined || link.master !== undefined) return undefined
  const used = kernel.addresses('host', link.ifindex).some(({ scope }) => scope === 0)
  return used ? undefined : device
}

/** The record, if its owner is gone or has had its DEL. */
function leftRecord(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  name: RecordName,
): PluginRecord<AttachJournal> | undefined {
  try {
    const record = store.read(name)
    return record === undefined || isOwned(machine, record) ? undefined : record
  } catch {
    return undefined // whose it is can't be read: not for anybody who would be as happy with another
  }
}

/** True when it is not by this record's attachment that sriov-cni's folder has the VF in use. */
function isAnothers(
  machine: Machine,
  address: PciAddress,
  { owner, journal }: PluginRecord<AttachJournal>,
): boolean {
  return isTakenOver(machine, address, journal.device.parents, owner)
}
