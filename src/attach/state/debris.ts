/** What killed calls of `vf-attach` have left: temporary files of records, and of claims in sriov-cni's form. */

import { failure } from '../../cni/failure.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { isOfKind } from '../../lib/error-kind.ts'
import { notice } from '../../lib/log/notice.ts'
import { clear, isDue, type Temporary, temporariesIn } from '../../ops/debris.ts'
import { parseRecordFileName } from '../../ops/record.ts'
import { probeName } from '../../ops/record-store.ts'
import { sriovDir } from '../foreign/sriov.ts'
import { macNotePrefix, withDeviceLock } from '../setting.ts'
import { podNotePrefix } from './pod-had-note.ts'

/** Removes what is not in use: what of a device is being written has the device's lock. */
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

/** The same after an ADD, twice a day; what goes wrong is told and is no failure of the ADD. */
export function clearDebrisWhenDue(machine: Machine, stateDir: string): void {
  try {
    if (isDue(stateDir, 'attach')) clearDebris(machine, stateDir)
  } catch (error) {
    notice(`vf-attach: Cannot clear what killed calls have left in "${stateDir}": ${failure(error).message}`)
  }
}

/** Whose device can't be told is left to its age (ops/record-store.ts). */
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
