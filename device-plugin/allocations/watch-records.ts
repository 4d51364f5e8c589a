/** Tells when records of vf-attach come and go: no notification of the kernel says that a device was restored. */
import { type FSWatcher, statSync, watch } from 'node:fs'
import { attachFolder } from '../../src/records/attach.ts'

/** A watch of records that goes on. */
export interface RecordsWatch {
  /** Looks whether the folder is still the one that is watched. To be called now and then: the folder comes with the first record. */
  renew(): void
  close(): void
}

/** Milliseconds between a change and the call: one CNI call writes several files. */
const settle = 100

/** Calls `changed` after records below `stateDir` have changed. Never fails: without a watch, periodic looks remain. */
export function watchRecords(stateDir: string, changed: () => void): RecordsWatch {
  const folder = `${stateDir}/${attachFolder}`
  let watcher: FSWatcher | undefined
  let watched = ''
  let timer: NodeJS.Timeout | undefined
  const end = () => {
    watcher?.close()
    watcher = undefined
    watched = ''
  }
  const note = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      changed()
    }, settle).unref()
  }
  const renew = () => {
    const now = identityOf(folder)
    if (now === watched) return
    end()
    if (now === '') return
    try {
      watcher = watch(folder, { persistent: false }, note)
      watcher.on('error', end)
      watched = now
      // Records may have come before the watch.
      note()
    } catch {
      // The folder has gone, or the kernel gives no more watches (fs.inotify.max_user_watches).
    }
  }
  renew()
  return {
    renew,
    close: () => {
      clearTimeout(timer)
      end()
    },
  }
}

/** Tells a folder from a later one at the same path; '' where there is none. */
function identityOf(folder: string): string {
  try {
    const stats = statSync(folder, { throwIfNoEntry: false })
    return stats === undefined ? '' : `${stats.dev}:${stats.ino}:${stats.birthtimeMs}`
  } catch {
    return ''
  }
}
