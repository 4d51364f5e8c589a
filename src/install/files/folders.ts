/** Folders that have to be made, and proof that no link leads out of the root. */
import { statSync } from 'node:fs'
import { errorText } from '../../lib/error-text.ts'
import { folderOf, partsOf } from '../../lib/path.ts'
import { isEntry, linkTarget, realPath } from '../../sys/files.ts'
import { InstallError } from '../errors.ts'

/**
 * The folders that files at these paths need and that are not there, the outer ones first.
 * @throws InstallError where something else has the name of one, or where a link leads out of the root
 */
export function newFolders(root: string, paths: readonly string[]): readonly string[] {
  const missing = new Set<string>()
  for (const folder of new Set(paths.map(folderOf))) {
    const parts = partsOf(folder)
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = `/${parts.slice(0, depth).join('/')}`
      if (isFolder(root + path)) requireInside(root, path)
      else missing.add(path)
    }
  }
  return [...missing]
}

/** @throws InstallError for anything else of that name */
function isFolder(path: string): boolean {
  if (!isEntry(path)) return false
  try {
    if (statSync(path).isDirectory()) return true
  } catch (error) {
    const target = linkTarget(path)
    const words =
      target === undefined ? errorText(error) : `it is a symbolic link to "${target}": ${errorText(error)}`
    throw new InstallError(`Cannot use the folder "${path}": ${words}`)
  }
  throw new InstallError(`Cannot make the folder "${path}": something else has this name`)
}

function requireInside(root: string, path: string): void {
  if (root === '') return
  const [top = root, real = ''] = [realPath(root), realPath(root + path)]
  if (real !== top && !real.startsWith(`${top}/`))
    throw new InstallError(
      `Cannot install into "${root}${path}": a symbolic link leads out of "${root}", to "${real}"`,
    )
}
