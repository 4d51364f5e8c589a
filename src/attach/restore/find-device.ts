/** Looks for a device until it is found, with bounded waits for the kernel and for pods. */
import type { Kernel } from '../../kernel/api/kernel.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import type { AttachJournal } from '../../records/attach.ts'
import { pciOf, readLive } from '../device/live.ts'
import type { LiveState, PodView } from '../device/live-state.ts'

/** The kernel hands an interface back from a namespace that died within so many milliseconds. */
export const returnMilliseconds = 5_000
/** A pod that lives gets so many milliseconds to give back an interface that it has moved to another namespace. */
const elsewhereMilliseconds = 1_000
export const pollMilliseconds = 20

/** True when the device should have an interface and none is found. Under a user space driver it has none to restore. */
export function isMissing(journal: AttachJournal, live: LiveState): boolean {
  if (journal.original.link === undefined || live.link !== undefined) return false
  return pciOf(journal)?.userspace !== true
}

/** Finds a journal's device; waits, if need be, for the kernel to hand its interface back from a namespace that died. */
export function findDevice(
  machine: Machine,
  kernel: Kernel,
  journal: AttachJournal,
  view: PodView,
): LiveState | 'gone' {
  return waitForDevice(machine, kernel, journal, view, returnMilliseconds)
}

/** Looks until the device is found or `milliseconds` are over. Returns the last look, or `gone` for a device that has ended. */
export function waitForDevice(
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
