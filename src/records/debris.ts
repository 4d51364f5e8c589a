/**
 * What calls that were killed have left: temporary files beside records, reports and notes. A temporary file is in use only under the
 * lock under which its file is written, so whoever has that lock may remove it.
 */
import { ageOf, listFolder, removeLeftover, temporaryOf, touch } from '../sys/files.ts'
import { lockPath } from './store.ts'

/** A temporary file, and the name of the file that it was to become. */
export interface Temporary {
  readonly path: string
  readonly name: string
}

/** The temporary files in a folder; none where there is no such folder. */
export function temporariesIn(folder: string): readonly Temporary[] {
  return listFolder(folder).flatMap((file) => {
    const name = temporaryOf(file)
    return name === undefined ? [] : [{ name, path: `${folder}/${file}` }]
  })
}

/** Removes the temporary files of a folder. The lock under which all of it is written is held by the caller. */
export function clearFolder(folder: string): void {
  for (const one of temporariesIn(folder)) clear(one)
}

/** Removes one; succeeds when it is gone. */
export function clear({ path }: Temporary): void {
  removeLeftover(path)
}

/** Nothing is to be older than a day: runtimes that never call GC have it cleared twice a day, by an ADD. */
const halfDay = 43_200_000

/**
 * True when the debris of `plugin` was not cleared in the last half of a day, by the time of a file among the locks, which is set now.
 * A clock that was set back makes it due, too.
 */
export function isDue(stateDir: string, plugin: string): boolean {
  const mark = lockPath(stateDir, `cleared-${plugin}`)
  const age = ageOf(mark)
  if (age !== undefined && age >= 0 && age < halfDay) return false
  touch(mark)
  return true
}
