/**
 * Names of interfaces whose driver is bound anew. The kernel gives the new interface the lowest free `ethN`. For a moment that can be
 * the name of another device, which is in a pod or starts anew itself. Whoever binds a driver anew holds the name lock of that device
 * until the new interface has its own name, or a spare name. Whoever finds the own name taken waits for the name lock of the device
 * that has it.
 *
 * Order of locks: the lock of the device, then sriov-cni's, then a name lock. Whoever holds a name lock asks for no other lock, so
 * nobody waits in a circle. Two devices that got each other's names both take spare names before they wait.
 */
import type { LinkFacts } from '../../kernel/api/facts.ts'
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { parsePciAddress } from '../../lib/pci-address.ts'
import { deviceBehind } from '../../nic/netdev.ts'
import { readPciFunction } from '../../nic/pci.ts'
import { applyAll } from '../../ops/apply.ts'
import type { Op } from '../../ops/op.ts'
import type { Runner } from '../../ops/runner.ts'
import type { AttachJournal } from '../../records/attach.ts'
import type { LiveState } from '../device/live-state.ts'
import { withNameLock } from '../state/locks.ts'
import { spareNames } from '../state/spare-names.ts'

/**
 * Runs `bind`, which has the driver of the device start anew and waits for the new interface. Gives the interface its own name before
 * anybody else can meet it under another one; a spare name where the own one is taken. Without the name lock in time it goes on all
 * the same: then another call may take a spare name for good.
 */
export function bindNamed<T>(
  machine: Machine,
  kernel: Kernel,
  runner: Runner,
  journal: AttachJournal,
  bind: () => T,
): T {
  const act = () => {
    const outcome = bind()
    giveName(kernel, runner, journal)
    return outcome
  }
  return (withNameLock(machine, journal.device.pci ?? '', act) ?? { outcome: act() }).outcome
}

/** Names the only interface of the device; a refusal is left to the restore that follows. */
function giveName(kernel: Kernel, runner: Runner, { device, original }: AttachJournal): void {
  const pci = parsePciAddress(device.pci ?? '')
  const [now, ...more] = pci === undefined ? [] : (readPciFunction(pci)?.netdevs ?? [])
  const own = original.link?.name
  if (now === undefined || more.length > 0 || own === undefined || now === own) return
  const link = kernel.link('host', now)
  if (link === undefined) return
  const here = { name: now, ifindex: link.ifindex } as const
  for (const newName of [own, ...spareNames(device)]) {
    if (kernel.link('host', newName) !== undefined) continue
    const rename: Op = { do: 'link.move', from: 'host', ...here, to: 'host', newName }
    if (applyAll(runner, [rename]).length === 0) return
  }
}

/** Looks again after so many waits: each time another call of ours may have given the name to its device for a moment. */
const maxWaits = 8

/**
 * Makes sure, as far as our calls are concerned, that the name of the journal's device is free. `found`: the last look; `look` looks
 * again. Returns the last look. Asks nothing where the name is free. Waits while a call of ours binds the driver of the interface that
 * has the name. An interface that has the name outside of such a call keeps it.
 */
export function awaitName(
  machine: Machine,
  kernel: Kernel,
  { original }: AttachJournal,
  found: LiveState | 'gone',
  look: () => LiveState | 'gone',
): LiveState | 'gone' {
  const name = original.link?.name
  let live = found
  // A device that is nowhere to be seen needs no name yet.
  const isWanting = () => live !== 'gone' && live.link !== undefined && live.taken.has(name ?? '')
  for (let waits = 0; waits < maxWaits && name !== undefined && isWanting(); waits++) {
    const holder = kernel.link('host', name)
    if (holder !== undefined && !isGivenUp(machine, kernel, name, holder)) return live
    live = look()
  }
  return live
}

/** Waits for a call of ours that binds the driver of `holder`; true when `holder` does not have the name any more. */
function isGivenUp(machine: Machine, kernel: Kernel, name: string, holder: LinkFacts): boolean {
  const pci = hardwareOf(holder)
  if (pci === undefined || withNameLock(machine, pci, () => true) === undefined) return false
  return kernel.link('host', name)?.ifindex !== holder.ifindex
}

/** The PCI function of an interface; undefined for software and for hardware on other buses. */
function hardwareOf({ name, parent = '', parentBus }: LinkFacts): string | undefined {
  if (parentBus === 'pci') return parent
  const behind = parentBus === undefined ? undefined : deviceBehind(name)
  return behind?.bus === 'pci' ? behind.address : undefined
}
