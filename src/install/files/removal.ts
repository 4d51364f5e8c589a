/** The plan of an uninstall, from the manifest. Reads files, and changes nothing. */
import { isEntry } from '../../sys/files.ts'
import { type Contents, isSame } from './content.ts'
import { asideEnd, type InstalledFile, type Manifest } from './manifest.ts'

/** See the head of this file. Paths are those below the root. */
export interface RemovalPlan {
  readonly manifest: Manifest
  /** Files that go, what runtimes call first; `isBack`: the file that had to make room comes back. */
  readonly files: readonly { readonly path: string; readonly isBack: boolean }[]
  /** Folders that go if nothing else is in them, the inner ones first. */
  readonly folders: readonly string[]
  readonly notes: readonly string[]
}

/** Makes the plan. What somebody has changed stays. */
export function planRemoval(root: string, manifest: Manifest, contents: Contents): RemovalPlan {
  const notes: string[] = []
  const byPath = new Map<string, InstalledFile[]>()
  for (const one of manifest.files) byPath.set(one.path, [...(byPath.get(one.path) ?? []), one])
  const files = [...byPath].reverse().flatMap(([path, known]) => {
    const found = contents.at(root + path)
    const isBack = known.some((one) => one.isAside === true) && isEntry(root + path + asideEnd)
    if (found === undefined) return isBack ? [{ path, isBack }] : []
    if (found !== 'other' && known.some((one) => isSame(found, one.content))) return [{ path, isBack }]
    const aside = isBack ? contents.at(root + path + asideEnd) : undefined
    // An install was cut off before it wrote its own file.
    if (found !== 'other' && aside !== undefined && aside !== 'other' && isSame(found, aside))
      return [{ path, isBack }]
    // An uninstall was cut off after it brought this file back.
    if (!isBack && known.some((one) => one.isAside === true)) return []
    const rest = isBack ? `, and so does what was there before the install, "${root}${path}${asideEnd}"` : ''
    notes.push(`"${root}${path}" was changed by somebody since the install: it stays${rest}`)
    return []
  })
  return { manifest, files, folders: [...manifest.folders].reverse(), notes }
}
