/** Debris of killed calls of `vf-offload`: temporary files of records, reports and notes, and reports of the dead. */
import type { CniError } from '../../cni/error.ts'
import { failure } from '../../cni/failure.ts'
import type { Machine } from '../../kernel/api/machine.ts'
import { notice } from '../../lib/log/notice.ts'
import { openOwnersNetns } from '../../ops/owner-netns.ts'
import { clear, clearFolder, isDue, temporariesIn } from '../../records/debris.ts'
import { probeName } from '../../records/store.ts'
import { offloadNames } from '../config/plugin-names.ts'
import type { Feature } from '../feature.ts'
import { clsactPrefix } from '../state/clsact-owner.ts'
import { reportedBy } from '../state/report.ts'
import { recordsOf } from '../state/stores.ts'

/** Removes it. The node's lock, under which all of that is written, is held by the caller. Returns what went wrong, an error at most. */
export function clearDebris(
  machine: Machine,
  stateDir: string,
  features: readonly Pick<Feature, 'shared'>[],
): CniError[] {
  try {
    // Beside our notes lie those of vf-attach, which are written under the lock of a device.
    for (const one of temporariesIn(machine.sharedDir)) if (isOwnNote(one.name, features)) clear(one)
    for (const name of offloadNames) {
      const store = recordsOf(name, stateDir)
      for (const folder of store.folders) clearFolder(folder)
      // A DEL that was killed behind the record leaves the report. As long as the namespace lives it tells GC of a pod.
      for (const one of store.lone()) if (isOfTheDead(machine, store.readReport(one))) store.remove(one)
    }
    return []
  } catch (error) {
    return [failure(error)]
  }
}

/** The same after an ADD, twice a day; what goes wrong is told and is no failure of the ADD. */
export function clearDebrisWhenDue(
  machine: Machine,
  stateDir: string,
  features: readonly Pick<Feature, 'shared'>[],
): void {
  const errors: CniError[] = []
  try {
    if (isDue(stateDir, 'offload')) errors.push(...clearDebris(machine, stateDir, features))
  } catch (error) {
    errors.push(failure(error))
  }
  for (const { message } of errors)
    notice(`vf-offload: Cannot clear what killed calls have left in "${stateDir}": ${message}`)
}

function isOwnNote(name: string, features: readonly Pick<Feature, 'shared'>[]): boolean {
  return (
    name === probeName ||
    name.startsWith(clsactPrefix) ||
    features.some(({ shared }) => shared?.isNote(name) === true)
  )
}

function isOfTheDead(machine: Machine, report: string | undefined): boolean {
  const netns = openOwnersNetns(machine, undefined, reportedBy(report ?? '').netns ?? '')
  netns?.close()
  return netns === undefined
}
