/** Files that killed calls of `vf-attach` have left: temporary files of records, and of claims in sriov-cni's form. */

import { failure } from '../../cni/failure.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { notice } from '../../lib/log/notice.ts'
import { clear, isDue, type Temporary, temporariesIn } from '../../records/debris.ts'
import { parseRecordFileName } from '../../records/record.ts'
import { probeName } from '../../records/store.ts'
import { podNotePrefix } from '../device/pod-had-note.ts'
import { macNotePrefix } from '../device/userspace.ts'
import { withDeviceLock } from '../foreign/device-lock.ts'
import { sriovDir } from '../foreign/sriov.ts'

/** Removes files that are not in use. A call that writes a file of a device holds the device's lock. */
export function clearDebris(machine: Machine, stateDir: string): void {
  for (const one of temporariesIn(`${stateDir}/attach`)) {
    if (one.name === probeName) clear(one)
    else clearUnlessLocked(machine, stateDir, parseRecordFileName(one.name)?.subject, one)
  }
  for (const one of temporariesIn(`${sriovDir}/pci`)) clearUnlessLocked(machine, stateDir, one.name, one)
  for (const one of temporariesIn(machine.sharedDir)) {
    if (one.name === probeName) clear(one)
    const prefix = [macNotePrefix, podNotePrefix].find((known) => one.name.startsWith(known))
    if (prefix !== undefined) clearUnlessLocked(machine, stateDir, one.name.slice(prefix.length), one)
  }
}

/** The same after an ADD, twice a day. A failure is told on stderr and does not fail the ADD. */
export function clearDebrisWhenDue(machine: Machine, stateDir: string): void {
  try {
    if (isDue(stateDir, 'attach')) clearDebris(machine, stateDir)
  } catch (error) {
    notice(`vf-attach: Cannot clear what killed calls have left in "${stateDir}": ${failure(error).message}`)
  }
}

/** A file of an unknown device stays until it is old enough (records/store.ts). */
function clearUnlessLocked(
  machine: Machine,
  stateDir: string,
  subject: string | undefined,
  temporary: Temporary,
): void {
  if (subject === undefined) return
  try {
    withDeviceLock(machine, stateDir, subject, () => clear(temporary), 0)
  } catch (error) {
    if (!isOfKind(error, 'lock-timeout')) throw error
  }
}
