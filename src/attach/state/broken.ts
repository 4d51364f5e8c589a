/** GC of a record that can't be read. Its network is not known, so the record must not be an error of any network. */
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { readAuxDevice, readPciFunction } from '../../nic/pci.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { RecordError } from '../../records/record.ts'
import type { RecordName, RecordStore } from '../../records/store.ts'

/**
 * Puts a record that can't be read (`error`) aside when its device is in no pod, so that it is reported once. The record of a
 * newer version, and one that may be a living pod's, stays and is reported.
 */
export function passOver(
  machine: Machine,
  store: RecordStore<AttachJournal>,
  name: RecordName,
  error: RecordError,
  isValid: boolean,
  locked: (machine: Machine, subject: string, action: () => void) => void,
): void {
  const keep = () => notice(`vf-attach: ${error.message}; it is kept`)
  if (error.code === 'newer' || isValid || mayBeInPod(machine, name.subject)) {
    keep()
    return
  }
  locked(machine, name.subject, () => {
    if (isReadable(store, name)) return
    if (mayBeInPod(machine, name.subject)) keep()
    else notice(`vf-attach: ${error.message}; it is put aside as "${store.putAside(name)}"`)
  })
}

/** True also for a record that is gone. */
function isReadable(store: RecordStore<AttachJournal>, name: RecordName): boolean {
  try {
    store.read(name)
    return true
  } catch (error) {
    if (error instanceof RecordError) return false
    throw error
  }
}

/** False for a device whose interface is on the host, and for one that is gone. */
function mayBeInPod(machine: Machine, subject: string): boolean {
  const address = parsePciAddress(subject)
  // One that a user space driver holds has no interface to tell.
  if (address !== undefined) return readPciFunction(address)?.netdevs.length === 0
  const prefix = 'netdev:'
  if (!subject.startsWith(prefix)) return readAuxDevice(subject)?.netdevs.length === 0
  const kernel = machine.openKernel()
  try {
    return kernel.link('host', subject.slice(prefix.length)) === undefined
  } finally {
    kernel.close()
  }
}
