/** Clears the folders of records of all that counts no more once no attachment is left. */
import { rmdirSync, rmSync } from 'node:fs'
import { errorText } from '../../lib/error-text.ts'
import { attachFolder } from '../../records/attach.ts'
import { offloadFolders } from '../../records/offload.ts'
import { isEntry, isTemporary, listFolder } from '../../sys/files.ts'

/** Folders below a folder of records, the inner ones first. */
const folders = [...[attachFolder, ...offloadFolders].flatMap((one) => [`${one}/report`, one]), 'lock']

/** Removes locks, reports and what was half written. Returns a line for each thing that stays, such as a broken record. */
export function clearState(stateDirs: readonly string[]): readonly string[] {
  return stateDirs.flatMap((stateDir) =>
    folders.flatMap((name) => {
      const folder = `${stateDir}/${name}`
      if (!isEntry(folder)) return []
      try {
        for (const file of listFolder(folder))
          if (isTemporary(file) || name === 'lock' || name.endsWith('/report'))
            rmSync(`${folder}/${file}`, { force: true })
        rmdirSync(folder)
        return []
      } catch (error) {
        return [`"${folder}" stays: ${errorText(error)}`]
      }
    }),
  )
}
