/**
 * Hardware that was in a pod starts anew before the next pod gets it: its driver lets go of it and takes it again. That ends all that
 * the pod has left on its interface, also an interface on it in a third namespace, which nobody can see. ADD does it, and not DEL, so
 * that no pod's end waits for it. The attributes that its PF holds stay.
 */

import { CniError, code } from '../../cni/error.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { step } from '../../lib/log/steps.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { stackOf } from '../../nic/netdev.ts'
import { readPciFunction } from '../../nic/pci.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import type { RecordName } from '../../records/store.ts'
import type { PortFacts } from '../device/facts.ts'
import { noteAnew } from '../device/pod-had-note.ts'
import { sharersOf } from '../device/residue.ts'
import type { AttachContext } from '../state/context.ts'
import { restoreDevice } from './device.ts'
import { bindNamed } from './names.ts'

/** Longest wait for the interface of a driver that starts anew. */
const interfaceMilliseconds = 20_000
const pollMilliseconds = 20

/**
 * Has the driver of a record's device start anew, and leads the device back to its journal. The record was written before, so that a DEL
 * does the same after a crash; it is removed in the end.
 * @throws CniError 102 when the driver does not take the device again, 103 when it can't be led back; the record stays then
 */
export function startAnew(
  { machine, kernel, store }: AttachContext,
  name: RecordName,
  { journal, owner }: PluginRecord<AttachJournal>,
): void {
  // The device gets its number back with the next move.
  const { ifindex, ...device } = journal.device
  const { pci = '', driver = '' } = device
  step('anew', () => {
    bindNamed(machine, kernel, kernel, journal, () => {
      try {
        kernel.run({ do: 'driver.rebind', pci, driver })
      } catch (error) {
        const words = `Cannot use "${pci}": it was in a pod, and its driver ${driver} can not be bound anew`
        const cause = error instanceof Error ? error : undefined
        throw new CniError(code.kernelRefused, words, { details: String(cause?.message), cause })
      }
      awaitInterface(machine, pci)
    })
    restoreDevice(machine, kernel, { ...journal, device }, { pod: false, ifname: owner.ifname, moved: true })
  })
  noteAnew(machine, pci, ifindex)
  store.remove(name)
  notice(`vf-attach: "${pci}" was in a pod before, its driver ${driver} was bound anew`)
}

/**
 * Refuses a device if others have things on it that would end when its driver is bound anew. The device came home clean, so
 * somebody else has put them
 * there.
 * @throws CniError 7
 */
export function requireBare(id: string, port: PortFacts | undefined): void {
  if (port === undefined) return
  const { link, master, residue } = port
  const { uppers } = stackOf(link.name, master)
  const reasons = [
    ...uppers.map((name) => `"${name}" lies on it`),
    ...(residue === undefined ? [] : sharersOf(link, residue, uppers.length > 0)),
  ]
  if (reasons.length === 0) return
  const words = `it was in a pod, and binding its driver anew would end what others have on it: ${reasons.join('; ')}`
  throw new CniError(code.invalidConfig, `Cannot use "${id}": ${words}`)
}

function awaitInterface(machine: Machine, pci: string): void {
  const address = parsePciAddress(pci)
  for (let waited = 0; address !== undefined && waited < interfaceMilliseconds; waited += pollMilliseconds) {
    if ((readPciFunction(address)?.netdevs.length ?? 1) > 0) return
    machine.sleep(pollMilliseconds)
  }
}
