/**
 * VFs that a program in user space drives. The kernel does not take them from their program at the end of a pod, so the attributes
 * that the PF holds for a VF decide whom the program reaches. A VF changes hands only when it is closed.
 */

import { CniError, code } from '../../cni/error.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { noMac } from '../../lib/mac.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { pick } from '../../lib/pick.ts'
import { type Holding, holdingOf } from '../../nic/holders.ts'
import { driverOf, type PciFunction } from '../../nic/pci.ts'
import { applyAll } from '../../ops/apply.ts'
import { commandLine } from '../../ops/command-line.ts'
import type { Op } from '../../ops/op.ts'
import { isAlive } from '../../ops/owner-netns.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { PluginRecord } from '../../records/record.ts'
import { noteAt, type RecordStore } from '../../records/store.ts'
import type { AttachContext } from '../state/context.ts'
import { onePfChangeAtATime } from '../state/locks.ts'
import { type AttachFacts, readVfFacts } from './facts.ts'
import { pciOf, readLive } from './live.ts'
import type { LiveState, PodView } from './live-state.ts'

/** Notes that a VF's MAC is administrative have names that begin so; the VF's PCI address follows. */
export const macNotePrefix = 'administrative-mac '

/** True while the device of a record is its owner's: the namespace lives, and no DEL has been called. */
export function isOwned(machine: Machine, { owner, journal }: PluginRecord<AttachJournal>): boolean {
  return journal.pendingClose !== true && isAlive(machine, owner)
}

/** Words for the holder of a function. */
export function holderWords({ process, sign }: Holding): string {
  return process === undefined
    ? `a program that is not to be seen among the processes here has it open (${sign})`
    : `process ${process.pid} (${process.comm}) has it open`
}

/**
 * Makes sure that no program has the function open. Nothing to do for one that a driver of the kernel has.
 * @throws CniError 11 that names the process
 */
export function requireClosed(pci: PciFunction | undefined): void {
  const holding = pci === undefined ? undefined : holdingOf(pci)
  if (pci === undefined || holding === undefined) return
  throw new CniError(code.tryAgainLater, `Cannot use "${pci.address}": ${holderWords(holding)}`, {
    details: holding.sign,
  })
}

/** The program that has a record's device open; undefined when none has, and for a record from before the last boot. */
export function holdingOfRecord(
  machine: Machine,
  { owner, journal }: PluginRecord<AttachJournal>,
): Holding | undefined {
  const pci = owner.bootId === machine.bootId() ? pciOf(journal) : undefined
  return pci === undefined ? undefined : holdingOf(pci)
}

/**
 * Keeps the attributes of a VF that is still open when it is to be restored: with its old attributes its program would be in the
 * network of the PF. The VF is cut off as far as the driver does that, and its record says that a restore is due.
 * False when the VF may be restored now.
 */
export function keptWhileOpen(
  machine: Machine,
  kernel: Kernel,
  store: RecordStore<AttachJournal>,
  record: PluginRecord<AttachJournal>,
  view: PodView,
): boolean {
  const { journal } = record
  const { id, pfPci } = journal.device
  const pci = mayBeOpen(journal) ? pciOf(journal) : undefined
  const holding = pci === undefined ? undefined : holdingOf(pci)
  if (holding === undefined) return false
  const before = readLive(kernel, journal, view)
  if (journal.pendingClose !== true) {
    // The file of sriov-cni may lack the link state: it has the attributes that the config names.
    const now = before === 'gone' ? {} : pick(before.vf?.attributes ?? {}, { linkState: undefined })
    const original = { ...journal.original, vf: { ...now, ...journal.original.vf } }
    store.write(id, { ...record, journal: { ...journal, original, pendingClose: true } }, 'volatile')
  }
  const ops = before === 'gone' ? [] : planCutOff(before)
  const errors = applyAll(onePfChangeAtATime(machine, kernel, pfPci), ops)
  const after = readLive(kernel, journal, view)
  const words = after === 'gone' ? 'it is gone' : cutWords(after, errors)
  notice(
    `vf-attach: "${id}" is not restored yet, ${holderWords(holding)}: ${words}; the next ADD, DEL or GC of it restores it when it is closed`,
  )
  return true
}

/** False, after one readlink(2), where the VF had an interface and has the same driver still: so nearly every DEL finds it. */
function mayBeOpen({ device, original }: AttachJournal): boolean {
  if (original.vf === undefined) return false
  const address = parsePciAddress(device.pci ?? '')
  return original.link === undefined || address === undefined || driverOf(address) !== device.driver
}

/** Operations that keep the program of a VF from every network: on the VF's link, in switchdev mode on its representor too. */
export function planCutOff({ vf, representor }: LiveState): Op[] {
  const ops: Op[] = []
  const was = vf?.attributes.linkState
  if (vf !== undefined && was !== undefined && was !== 'disable') {
    const change = { set: { linkState: 'disable' }, was: { linkState: was } } as const
    ops.push({ do: 'vf.set', pf: vf.pfName, vf: vf.index, ...change })
  }
  if (representor?.link.up === true) {
    const { name, ifindex } = representor.link
    ops.push({ do: 'link.set', side: 'host', name, ifindex, set: { up: false }, was: { up: true } })
  }
  return ops
}

/** The state after that in words; `errors` are the driver's refusals. */
function cutWords(live: LiveState, errors: readonly string[]): string {
  const left = planCutOff(live)
  const refused = errors.length > 0 ? errors : left.map((op) => `no effect: ${commandLine(op)}`)
  const { vlan, linkState } = live.vf?.attributes ?? {}
  const place =
    vlan === undefined || vlan.id === 0 ? 'it stays without a VLAN' : `it stays in VLAN ${vlan.id}`
  const isCut = linkState === 'disable' || live.representor?.link.up === false
  return [isCut ? 'its link is disabled' : 'its link can not be disabled', ...refused, place].join(', ')
}

/** A line for an ADD whose PF tells the program no MAC; none otherwise. */
export function pfDownWarnings({ device, vf, port }: AttachFacts): string[] {
  if (port !== undefined || vf === undefined || vf.pfUp) return []
  return [
    `PF "${vf.pfName}" is down: until it is up, the program of "${device.id}" is not told its MAC address and may use any`,
  ]
}

/**
 * The facts without a MAC that only the VF's last driver in the kernel had told its PF. A PF reports that as it reports an
 * administrative one, but forgets it when the function is reset, which opening the device does too. So a reported MAC is
 * looked at again after a reset: an ADD with it would name a MAC that the program does not get, and DEL would make it
 * administrative. What was proven once stays so until the next boot: a note says it.
 */
export function withoutToldMac({ machine, kernel }: AttachContext, facts: AttachFacts): AttachFacts {
  const { device, vf, port } = facts
  const { pci } = device
  const mac = vf?.attributes.mac ?? noMac
  // A PF that is down does not see the reset.
  if (pci?.userspace !== true || port !== undefined || vf?.pfUp !== true || mac === noMac) return facts
  const note = noteAt(`${machine.sharedDir}/${macNotePrefix}${pci.address}`, 'volatile')
  if (note.get() === mac) return facts
  const [refusal] = applyAll(kernel, [{ do: 'function.reset', pci: pci.address }])
  if (refusal !== undefined) {
    notice(`vf-attach: MAC ${mac} of "${pci.address}" counts as administrative: ${refusal}`)
    return facts
  }
  const now = readVfFacts(kernel, pci) ?? vf
  if (now.attributes.mac === mac) note.set(mac)
  else notice(`vf-attach: MAC ${mac} of "${pci.address}" was of its last driver, "${vf.pfName}" has set none`)
  return { ...facts, vf: now }
}
