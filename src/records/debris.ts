/**
 * Temporary files that killed calls leave beside records, reports and notes. A temporary file is in use only under the lock of the
 * file that it is to become, so the holder of that lock may remove it.
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

/** Removes the temporary files of a folder. The caller holds the lock under which all files of the folder are written. */
export function clearFolder(folder: string): void {
  for (const one of temporariesIn(folder)) clear(one)
}

/** Removes one temporary file. A file that is gone already is no error. */
export function clear({ path }: Temporary): void {
  removeLeftover(path)
}

/** Milliseconds. Where a runtime never calls GC, an ADD clears debris twice a day: no debris gets older than a day. */
const halfDay = 43_200_000

/**
 * True when the debris of `plugin` was last cleared more than half a day ago, by the time of a file among the locks. Sets that time
 * to now. A clock that was set back makes the debris due, too.
 */
export function isDue(stateDir: string, plugin: string): boolean {
  const mark = lockPath(stateDir, `cleared-${plugin}`)
  const age = ageOf(mark)
  if (age !== undefined && age >= 0 && age < halfDay) return false
  touch(mark)
  return true
}
