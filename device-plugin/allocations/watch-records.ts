/** Tells when records of vf-attach come and go: no notification of the kernel says that a device was restored. */
import { attachFolder } from '../../src/records/attach.ts'
import { signOf } from '../../src/sys/file-sign.ts'
import { type FolderWatch, watchFolders } from '../../src/sys/folder-watch.ts'

/** Milliseconds between a change and the call: one CNI call writes several files. */
const settle = 100
/** Milliseconds between two looks without an event. */
const poll = 60_000

/** Calls `changed` after records below `stateDir` have changed, and at once where there are records. Never fails. */
export function watchRecords(stateDir: string, changed: () => void): FolderWatch {
  const folder = `${stateDir}/${attachFolder}`
  let seen = ''
  return watchFolders({
    folders: () => [folder],
    look: (isAfterEvent) => {
      const sign = signOf(folder)
      // Two changes within one tick of the kernel's clock have the same sign.
      const isChanged = sign !== seen || (isAfterEvent && sign !== '')
      seen = sign
      if (isChanged) changed()
    },
    settle,
    poll: () => poll,
    keepsProcess: false,
  })
}
