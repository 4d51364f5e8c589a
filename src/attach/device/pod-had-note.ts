/**
 * Notes about hardware that was in a pod since its driver began, one for each function. ADD writes the note before the move to the
 * pod, so that it holds also for a device that the kernel brings home from a namespace that died. A boot empties the folder of notes.
 */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { isInfiniband } from '../../lib/mac.ts'
import { type PciFunction, startOf } from '../../nic/pci.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { type Note, noteAt } from '../../records/store.ts'
import type { AttachFacts } from './facts.ts'

/** Notes about a PCI function that was in a pod have names that begin so; its address follows. */
export const podNotePrefix = 'pod-had '

/**
 * The state of a function that was in a pod since its driver began. `used`: it is in a pod, or came home without a record of all
 * that a pod can change. `untuned`: it came home and is as before, but for the settings that ethtool and sysfs show. `home`: it is as
 * before in all that can be seen.
 */
export type Former = (typeof formers)[number]
const formers = ['used', 'untuned', 'home'] as const

/** A note is one of those words, or `anew` with the number of the interface before its driver began anew; then the driver's start. */
const text = (word: string, pci: string) => `${word} ${startOf(pci as PciFunction['address']) ?? ''}`

/** True for a function whose driver can start anew without taking anything else along. */
function canStartAnew(pci: PciFunction | undefined): pci is PciFunction {
  // The files of an RDMA device may be promised to the next pod when its ADD begins, by their numbers.
  const isShared = pci?.rdma === true || (pci?.sriovNumvfs ?? 0) > 0
  return pci?.driver !== undefined && !pci.userspace && !isShared
}

/**
 * True for a device that starts anew before the next pod gets it. Not one of several interfaces of a function, and no IPoIB, whose address is
 * another one after that. `mac` is its address.
 */
export function startsAnew(id: string, pci: PciFunction | undefined, mac = ''): pci is PciFunction {
  return pci?.address === id && canStartAnew(pci) && !isInfiniband(mac)
}

/** The state of a device that has to start anew before a pod gets it; undefined for one that need not. */
export function formerOf(machine: Machine, facts: AttachFacts): Former | undefined {
  const { id } = facts.device
  const note = noteFor(machine, facts)?.get()
  return note === undefined ? undefined : formers.find((word) => note === text(word, id))
}

/** True for a function that was in a pod since its driver began, as far as the notes in `sharedDir` say. Never throws. */
export function wasInPod(sharedDir: string, pci: string): boolean {
  try {
    const note = noteAt(`${sharedDir}/${podNotePrefix}${pci}`, 'volatile').get()
    return note !== undefined && formers.some((word) => note === text(word, pci))
  } catch {
    return false
  }
}

/** Writes down, before the move, that a pod has the device from now on. */
export function noteUse(machine: Machine, facts: AttachFacts): void {
  const note = noteFor(machine, facts)
  if (note !== undefined) set(note, text('used', facts.device.id))
}

/**
 * Writes down, for a device that comes from a pod, that a pod had it: another plugin may have given it. A DEL needs no room: where that
 * can't be written, stderr says so.
 */
export function noteReturn(
  machine: Machine,
  { device, original }: AttachJournal,
  pci: PciFunction | undefined,
): void {
  if (!startsAnew(device.id, pci, original.link?.mac)) return
  told(device.id, () => set(noteOf(machine, device.id), text('used', device.id)))
}

/** Writes down that such a device is as its journal has it. `isTuned`: what ethtool and sysfs show of it, too. */
export function noteHome(
  machine: Machine,
  { device, original, tuning }: AttachJournal,
  isTuned: boolean,
): void {
  if (device.pci === undefined || device.id !== device.pci || original.link?.traits === undefined) return
  const word = isTuned && tuning !== undefined ? 'home' : 'untuned'
  told(device.id, () => {
    const note = noteOf(machine, device.id)
    // Not of one that has started anew meanwhile.
    if (note.get() === text('used', device.id)) note.set(text(word, device.id))
  })
}

function set(note: Note, words: string): void {
  if (note.get() !== words) note.set(words)
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

/** The facts without the things on the interface that a former pod may have left: they end before the next pod gets it. */
export function withoutResidue(machine: Machine, facts: AttachFacts): AttachFacts {
  const { port } = facts
  // A device that came home clean had nothing on it: somebody else has put it there since.
  if (port === undefined || formerOf(machine, facts) !== 'used') return facts
  return { ...facts, port: { link: port.link, master: port.master } }
}

/** The journal without values that a pod may have chosen: a device whose driver has begun anew is not led back to them. */
export function withoutPods(journal: AttachJournal, former: Former | undefined): AttachJournal {
  if (former === undefined) return journal
  // Nothing is set on the PF before.
  const { macSet: _, ...unset } = journal
  const { link, ...original } = journal.original
  if (former === 'home' || link === undefined) return unset
  const { tuning: __, ...rest } = unset
  if (former === 'untuned') return rest
  const { name, mac, mtu, up, master } = link
  const own = { name, altnames: [], mac, mtu, up, ...(master === undefined ? {} : { master }) }
  return { ...rest, original: { ...original, link: own } }
}

/** Writes down that the device has started anew; `ifindex` is the number of its interface before. */
export function noteAnew(machine: Machine, pci: string, ifindex: number | undefined): void {
  noteOf(machine, pci).set(text(`anew ${ifindex ?? 0}`, pci))
}

/** The journal with the number that the interface had before it started anew, where nobody else has that: it comes home by it. */
export function withFormerNumber(
  machine: Machine,
  kernel: Kernel,
  facts: AttachFacts,
  journal: AttachJournal,
): AttachJournal {
  const note = noteFor(machine, facts)?.get() ?? ''
  const [word, number = '0'] = note.split(' ')
  // VFs that were made anew have other interfaces.
  if (word !== 'anew' || note !== text(`anew ${number}`, facts.device.id)) return journal
  const ifindex = Number(number)
  if (!(ifindex > 0) || kernel.link('host', ifindex) !== undefined) return journal
  return { ...journal, device: { ...journal.device, ifindex } }
}

/** The note of a device that can start anew; one of several interfaces of a function can't by itself. */
function noteFor(machine: Machine, { device, port }: AttachFacts): Note | undefined {
  if (port === undefined || !startsAnew(device.id, device.pci, port.link.mac)) return undefined
  return noteOf(machine, device.id)
}

function noteOf(machine: Machine, pci: string): Note {
  return noteAt(`${machine.sharedDir}/${podNotePrefix}${pci}`, 'volatile')
}
