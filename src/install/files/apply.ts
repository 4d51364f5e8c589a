/** Carries out the plans of install and uninstall. What fails in the middle is taken back, so that the install before goes on. */
import { rmdirSync, rmSync } from 'node:fs'
import { folderOf, lastPart } from '../../lib/path.ts'
import { defaultStateDir } from '../../records/store.ts'
import { errorCode } from '../../sys/errno.ts'
import { isEntry } from '../../sys/files.ts'
import { InstallError, stepFailed } from '../errors.ts'
import { stages } from './layout.ts'
import { asideEnd, type Manifest, manifestFile, writeManifest } from './manifest.ts'
import type { Plan } from './plan.ts'
import { clearLeftovers, keepBefore, makeFolder, putFile, takeFile, Undo, Written } from './put.ts'
import type { RemovalPlan } from './removal.ts'

/** The way back of services, before and after that of files. */
export interface WaysBack {
  readonly first?: () => void
  readonly last?: () => void
  /** The next install has to tell systemd again to start the agent. */
  readonly isRefused?: boolean
}

/** What else an install does with files. */
export interface Around {
  /** Called once programs and unit are there, before any plugin is replaced. */
  readonly services: () => WaysBack
  /** Labels folders and files; undefined where files have no labels. */
  readonly label: ((paths: readonly string[]) => void) | undefined
}

/**
 * Installs. The services return their ways back: one for while the new names and unit are still there, one for when those of before are
 * back.
 * @throws InstallError after everything was taken back
 */
export function applyInstall(root: string, plan: Plan, { services, label }: Around): void {
  undoable((undo) => {
    clear(root, plan.during)
    for (const folder of plan.folders)
      makeFolder(root + folder, folder === defaultStateDir ? 0o700 : 0o755, undo)
    listing(root, () => {
      keepBefore(root + manifestFile, undo)
      writeManifest(root, plan.during)
    })
    const written = new Written(label !== undefined)
    let ways: WaysBack = {}
    undo.add(() => ways.last?.())
    for (const stage of stages) {
      const steps = plan.steps.filter((step) => step.stage === stage)
      for (const step of steps) putFile(root, step, written, undo)
      // Folders come before what is in them, and programs before somebody may execute them.
      const made = stage === 'programs' ? plan.folders : []
      label?.([...made, ...steps.map(({ path }) => path)].map((path) => root + path))
      if (stage !== 'services') continue
      ways = services()
      undo.add(() => ways.first?.())
    }
    for (const { path, isAside } of plan.removals)
      takeFile(root + path, isAside === true && isEntry(root + path + asideEnd), undo)
    const after = ways.isRefused === true ? { ...plan.after, isEnabled: false } : plan.after
    listing(root, () => writeManifest(root, after))
  })
}

/** Uninstalls. @throws InstallError after everything was taken back */
export function applyRemoval(root: string, plan: RemovalPlan): void {
  undoable((undo) => {
    clear(root, plan.manifest)
    for (const { path, isBack } of plan.files) takeFile(root + path, isBack, undo)
  })
  const isAbove = (folder: string) => manifestFile.startsWith(`${folder}/`)
  for (const folder of plan.folders) if (!isAbove(folder)) removeIfEmpty(root + folder)
  // Until now another uninstall would complete this one.
  rmSync(root + manifestFile, { force: true })
  for (const folder of plan.folders) if (isAbove(folder)) removeIfEmpty(root + folder)
}

/** Does something with the list of installed files. @throws InstallError */
function listing(root: string, action: () => void): void {
  try {
    action()
  } catch (error) {
    throw stepFailed('write the list of installed files', root + manifestFile, error)
  }
}

function undoable(action: (undo: Undo) => void): void {
  const undo = new Undo()
  try {
    action(undo)
  } catch (error) {
    const failed = undo.run()
    if (!(error instanceof Error)) throw error
    const words =
      failed.length === 0
        ? 'everything was taken back'
        : `what was done before could not all be taken back: ${failed.join('; ')}`
    throw new InstallError(`${error.message}; ${words}`, { cause: error })
  }
  undo.forget()
}

function clear(root: string, { files }: Manifest): void {
  const names = new Map<string, Set<string>>()
  for (const path of [...files.map((one) => one.path), manifestFile]) {
    const folder = folderOf(path)
    names.set(folder, (names.get(folder) ?? new Set()).add(lastPart(path)))
  }
  for (const [folder, some] of names) clearLeftovers(root + folder, some)
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    // Somebody uses it, or has removed it.
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY'].includes(errorCode(error) ?? '')) throw error
  }
}
