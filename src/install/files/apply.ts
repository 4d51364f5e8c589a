/** Carries out the plans of install and uninstall. What fails in the middle is taken back, so that the install before goes on. */
import { rmdirSync } from 'node:fs'
import { folderOf, lastPart } from '../../lib/path.ts'
import { errorCode } from '../../sys/errno.ts'
import { InstallError } from '../errors.ts'
import { stages } from './layout.ts'
import { type Manifest, manifestFile, writeManifest } from './manifest.ts'
import type { Plan } from './plan.ts'
import { clearLeftovers, keepBefore, makeFolder, putFile, takeFile, Undo, type Written } from './put.ts'
import type { RemovalPlan } from './removal.ts'

/**
 * Installs. `withServices` is called once programs and unit are there, before any plugin is replaced; it returns its way back.
 * @throws InstallError after everything was taken back
 */
export function applyInstall(root: string, plan: Plan, withServices: () => () => void): void {
  undoable((undo) => {
    clear(root, plan.during)
    for (const folder of plan.folders) makeFolder(root + folder, undo)
    keepBefore(root + manifestFile, undo)
    writeManifest(root, plan.during)
    const written: Written = new Map()
    let backWithServices = () => {}
    // The agent of the build before starts by the names that it had.
    undo.add(() => backWithServices())
    for (const stage of stages) {
      for (const step of plan.steps) if (step.stage === stage) putFile(root, step, written, undo)
      if (stage === 'services') backWithServices = withServices()
    }
    for (const { path } of plan.removals) takeFile(root + path, false, undo)
    writeManifest(root, plan.after)
  })
}

/** Uninstalls. @throws InstallError after everything was taken back */
export function applyRemoval(root: string, plan: RemovalPlan): void {
  undoable((undo) => {
    clear(root, plan.manifest)
    for (const { path, isBack } of plan.files) takeFile(root + path, isBack, undo)
    takeFile(root + manifestFile, false, undo)
  })
  // With what was kept for the way back, they were not empty.
  for (const folder of plan.folders) removeIfEmpty(root + folder)
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
