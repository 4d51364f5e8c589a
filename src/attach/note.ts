/**
 * Which hardware was in a pod since its driver began: a note for each function says so, from before the move to the pod, so that it also
 * holds for what the kernel has brought home from a namespace that died. Notes lie where a boot empties.
 */
import type { Kernel } from '../kernel/kernel.ts'
import type { Machine } from '../kernel/machine.ts'
import { notice } from '../lib/notice.ts'
import type { PciAddress } from '../lib/pci-address.ts'
import { type PciFunction, startOf } from '../nic/pci.ts'
import { type Note, noteAt } from '../ops/record-store.ts'
import type { AttachFacts } from './facts.ts'
import type { AttachJournal } from './record.ts'

/** How the names of notes begin that tell of a PCI function that was in a pod; its address follows. */
const notePrefix = 'pod-had '
/**
 * What they say: since the driver began, by what tells one beginning from another, the function was in a pod; or the driver has
 * begun anew after a pod, and the number of its interface before.
 */
const usedSince = (pci: PciAddress) => `used ${startOf(pci) ?? ''}`
const anew = /^anew (\d+)$/

/** True for a function whose driver can start anew without taking anything else along. */
export function canStartAnew(pci: PciFunction | undefined): pci is PciFunction {
  return pci?.driver !== undefined && !pci.userspace && (pci.sriovNumvfs ?? 0) === 0
}

/** True when the device has to start anew before a pod gets it. */
export function mustStartAnew(machine: Machine, facts: AttachFacts): boolean {
  const { pci } = facts.device
  return pci !== undefined && noteFor(machine, facts)?.get() === usedSince(pci.address)
}

/** Writes down, before the move, that a pod has the device from now on. */
export function noteUse(machine: Machine, facts: AttachFacts): void {
  const { pci } = facts.device
  const note = noteFor(machine, facts)
  if (pci !== undefined && note !== undefined) setUsed(note, pci.address)
}

/**
 * Writes down, for a device that comes from a pod, that a pod had it: another plugin may have given it. A DEL needs no room: where that
 * can't be written, stderr says so.
 */
export function noteReturn(machine: Machine, { device }: AttachJournal, pci: PciFunction | undefined): void {
  if (device.id !== pci?.address || !canStartAnew(pci)) return
  told(pci.address, () => setUsed(noteOf(machine, pci.address), pci.address))
}

function setUsed(note: Note, pci: PciAddress): void {
  const text = usedSince(pci)
  if (note.get() !== text) note.set(text)
}

/** As {@link noteAnew}, in a DEL. */
export function noteAnewAtHome(machine: Machine, pci: string, ifindex: number | undefined): void {
  told(pci, () => noteAnew(machine, pci, ifindex))
}

function told(pci: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    notice(`vf-attach: Cannot note that "${pci}" was in a pod: ${String(error)}`)
  }
}

/** The facts without what is on the interface now, where that goes before a pod gets it. */
export function withoutResidue(machine: Machine, facts: AttachFacts): AttachFacts {
  const { port } = facts
  if (port === undefined || !mustStartAnew(machine, facts)) return facts
  return { ...facts, port: { link: port.link, master: port.master } }
}

/** Writes down that the device has started anew; `ifindex` is the number of its interface before. */
export function noteAnew(machine: Machine, pci: string, ifindex: number | undefined): void {
  noteOf(machine, pci).set(`anew ${ifindex ?? 0}`)
}

/** The journal with the number that the interface had before it started anew, where nobody else has that: it comes home by it. */
export function withFormerNumber(
  machine: Machine,
  kernel: Kernel,
  facts: AttachFacts,
  journal: AttachJournal,
): AttachJournal {
  const text = noteFor(machine, facts)?.get() ?? ''
  const ifindex = Number(anew.exec(text)?.[1] ?? 0)
  if (ifindex === 0 || kernel.link('host', ifindex) !== undefined) return journal
  return { ...journal, device: { ...journal.device, ifindex } }
}

/** The note of a device that can start anew; one of several interfaces of a function can't by itself. */
function noteFor(machine: Machine, { device, port }: AttachFacts): Note | undefined {
  if (port === undefined || device.pci?.address !== device.id || !canStartAnew(device.pci)) return undefined
  return noteOf(machine, device.id)
}

function noteOf(machine: Machine, pci: string): Note {
  return noteAt(`${machine.sharedDir}/${notePrefix}${pci}`, 'volatile')
}
