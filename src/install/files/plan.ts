/** The plan of an install: what is there, against what must be there. Reads files, and changes nothing. */

import { defaultStateDir } from '../../records/store.ts'
import { InstallError } from '../errors.ts'
import type { Content, Contents } from './content.ts'
import { isSame } from './content.ts'
import { newFolders } from './folders.ts'
import { isOfBuild, type Layout, layoutOf, type Wanted } from './layout.ts'
import { asideEnd, type InstalledFile, type Manifest, manifestFolder } from './manifest.ts'

/** Something to do with a path. `make` finds nothing there, `aside` puts somebody else's file aside, `keep` writes nothing. */
export interface Step extends Wanted {
  readonly does: 'make' | 'replace' | 'aside' | 'keep'
}

/** See the head of this file. */
export interface Plan {
  /** Folders to make, the outer ones first. */
  readonly folders: readonly string[]
  readonly steps: readonly Step[]
  /** Files of builds whose time is over, and names that are in another folder now. */
  readonly removals: readonly InstalledFile[]
  /** The manifest while the work is under way: what may be there if it is cut off. */
  readonly during: Manifest
  readonly after: Manifest
  /** Things that the operator should know of. */
  readonly notes: readonly string[]
}

/** Builds that stay: this one, and those of two upgrades. */
const keptBuilds = 3

/** Makes the plan. @throws InstallError for what stands in the way */
export function planInstall(root: string, layout: Layout, former: Manifest, contents: Contents): Plan {
  const { build, version } = layout.sources
  const notes: string[] = []
  const wanted = layoutOf(layout)
  const folders = newFolders(root, [
    ...wanted.map(({ path }) => path),
    `${manifestFolder}/install.json`,
    // Plugins make it with their first record. Made here, it goes again with uninstall.
    `${defaultStateDir}/record`,
  ])
  const steps = wanted.flatMap((one) => judge(root, one, former, contents, notes) ?? [])
  const builds = [...former.builds.filter((one) => one.build !== build), { build, version }]
  const gone = builds.slice(0, -keptBuilds).map((one) => one.build)
  const isGone = ({ path }: InstalledFile) => gone.some((one) => isOfBuild(path, one))
  const written = steps.map((step) => entryOf(step, build, former))
  const rest = former.files.filter(({ path }) => !written.some((one) => one.path === path))
  // A unit that stays executes the name that it knows.
  const keepsUnit = layout.unit === undefined && former.files.some(({ purpose }) => purpose === 'unit')
  const isMoved = ({ path, purpose, content }: InstalledFile) => {
    if (purpose !== 'name' || keepsUnit) return false
    const found = contents.at(root + path)
    return found !== undefined && found !== 'other' && isSame(found, content)
  }
  const isOver = (one: InstalledFile) => isGone(one) || isMoved(one)
  const common = {
    ...{
      schema: former.schema,
      folders: [...former.folders, ...folders.filter((one) => !former.folders.includes(one))],
    },
    binDirs: [...layout.binDirs],
    ...(layout.libexecDir === undefined ? {} : { libexecDir: layout.libexecDir }),
    isEnabled: former.isEnabled === true || layout.isEnabled,
  }
  return {
    ...{ folders, steps, notes },
    // Somebody may have removed one already.
    removals: rest.filter((one) => isOver(one) && contents.at(root + one.path) !== undefined),
    during: { ...common, builds, files: [...former.files, ...written] },
    after: {
      ...common,
      builds: builds.slice(-keptBuilds),
      files: [...rest.filter((one) => !isOver(one)), ...written],
    },
  }
}

/** The step for a file; undefined for one that is left to somebody else. @throws InstallError */
function judge(
  root: string,
  wanted: Wanted,
  former: Manifest,
  contents: Contents,
  notes: string[],
): Step | undefined {
  const { path, purpose, content } = wanted
  const full = root + path
  const found = contents.at(full)
  if (found === undefined) return { ...wanted, does: 'make' }
  if (found === 'other')
    throw new InstallError(`Cannot write "${full}": something that is no file has this name`)
  const known = former.files.filter((one) => one.path === path)
  if (known.length > 0) {
    if (isSame(found, content))
      return { ...wanted, does: modeOf(found) === modeOf(content) ? 'keep' : 'replace' }
    if (known.some((one) => isSame(found, one.content))) return { ...wanted, does: 'replace' }
    // An install that was cut off has not come to put the file aside, or to write its own.
    const aside = known.some((one) => one.isAside === true) ? contents.at(full + asideEnd) : 'other'
    if (aside === undefined) return { ...wanted, does: 'aside' }
    if (aside !== 'other' && isSame(found, aside)) return { ...wanted, does: 'replace' }
    if (purpose === 'alias' || purpose === 'network') {
      notes.push(`"${full}" was changed by somebody since the last install: it stays as it is`)
      return undefined
    }
    notes.push(`"${full}" was changed by somebody since the last install: it is written anew`)
    return { ...wanted, does: 'replace' }
  }
  if (purpose === 'network')
    throw new InstallError(
      `Cannot write the network config "${full}": there is one; remove it, or give the file another name`,
    )
  if (contents.at(full + asideEnd) !== undefined)
    throw new InstallError(
      `Cannot put "${full}" aside: "${full}${asideEnd}" is there already; move one of them away`,
    )
  notes.push(`"${full}" is not ours: it is put aside as "${full}${asideEnd}", and comes back with uninstall`)
  return { ...wanted, does: 'aside' }
}

function modeOf(content: Content): number | undefined {
  return content.kind === 'file' ? content.mode : undefined
}

/** Carries over what an earlier install has put aside. */
function entryOf({ path, purpose, content, does }: Step, build: string, { files }: Manifest): InstalledFile {
  const isAside = does === 'aside' || files.some((one) => one.path === path && one.isAside === true)
  return { path, purpose, build, content, ...(isAside ? { isAside } : {}) }
}
