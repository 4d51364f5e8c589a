/** A look, before anything changes, at whether files can be written where they belong. All that is in the way is told at once. */
import { accessSync, constants } from 'node:fs'
import { folderOf } from '../../lib/path.ts'
import { errorCode } from '../../sys/errno.ts'
import { isThere } from '../../sys/files.ts'
import { InstallError } from '../errors.ts'
import type { Places } from './layout.ts'
import { namesLink } from './manifest.ts'
import type { Step } from './plan.ts'

/** Words for the errors of access(2) that a folder or a file has, which the superuser meets too. */
const reasons: Readonly<Record<string, string>> = {
  EROFS: 'it is read-only',
  EACCES: 'the permission is denied',
  EPERM: 'it is immutable (lsattr shows it, chattr -i ends it)',
}

/** Makes sure that all steps can be done, as far as the kernel tells without a change. @throws InstallError with everything in the way */
export function requireWritable(root: string, steps: readonly Step[], places: Places): void {
  const problems = new Map<string, string>()
  for (const step of steps) {
    if (step.does === 'keep') continue
    const folder = existing(root, folderOf(step.path))
    // A file that is replaced has to go, and an immutable one does not.
    for (const path of step.does === 'make' ? [folder] : [folder, step.path]) {
      const code = refusal(root + path)
      const reason = code === undefined ? undefined : `${reasons[code] ?? 'it can not be written'} (${code})`
      if (reason !== undefined && (path === folder || code === 'EPERM'))
        problems.set(path, `"${root}${path}": ${reason}${code === 'EPERM' ? '' : wayOut(step, places)}`)
    }
  }
  if (problems.size === 0) return
  throw new InstallError(['Cannot install, and nothing was changed:', ...problems.values()].join('\n  '))
}

/** Lines about folders from which nothing can be executed, after files are there: their file system is mounted with noexec. */
export function noexecNotes(root: string, steps: readonly Step[]): readonly string[] {
  const programs = steps.filter(({ content }) => content.kind === 'file' && (content.mode & 0o111) !== 0)
  const folders = new Set(
    programs
      .filter(({ path }) => refusal(root + path, constants.X_OK) === 'EACCES')
      .map(({ path }) => folderOf(path)),
  )
  return [...folders].map(
    (folder) =>
      `nothing in "${root}${folder}" can be executed: its file system is mounted with noexec. Mount it without, or name another folder`,
  )
}

/** The option that leaves this file out, or puts it elsewhere. */
function wayOut({ path, purpose }: Step, { libexec, names }: Places): string {
  if (purpose === 'unit') return '; --no-service leaves the unit out'
  if (purpose === 'network') return '; leave --network out'
  if (path === namesLink) return '; the list of installed files must be there too'
  if ([libexec, names].includes(folderOf(path)))
    return '; name a folder for the programs of services with --libexec-dir'
  return '; name another CNI folder with --bin-dir, and in the config of the runtime'
}

/** The folder, or the one above it that is there. */
function existing(root: string, folder: string): string {
  return folder === '' || folder === '/' || isThere(root + folder) ? folder : existing(root, folderOf(folder))
}

/** The kernel's word against a write, or against another use, undefined if it has none. Nothing is tried. */
function refusal(path: string, use: number = constants.W_OK): string | undefined {
  try {
    accessSync(path, use)
    return undefined
  } catch (error) {
    const code = errorCode(error)
    // A link to nothing, which is replaced as such.
    return code === 'ENOENT' ? undefined : code
  }
}
