/** Changes of single files that are whole or not there, and that can be taken back. None of them writes into a file that exists. */
import {
  chmodSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { folderOf } from '../../lib/path.ts'
import { errorCode } from '../../sys/errno.ts'
import { closing, isEntry, listFolder, syncFolder, temporaryAt, temporaryOf } from '../../sys/files.ts'
import { stepFailed } from '../errors.ts'
import { asideEnd } from './manifest.ts'
import type { Step } from './plan.ts'

/** The way back of what was done, in the order in which it was done. */
export class Undo {
  readonly #back: (() => void)[] = []
  readonly #leftovers: string[] = []

  /** Notes the way back of a change that was made. */
  add(back: () => void): void {
    this.#back.push(back)
  }

  /** Notes a file that is only there for the way back. */
  addLeftover(path: string): void {
    this.#leftovers.push(path)
  }

  /** Takes everything back, the last change first. Returns the words of what could not be taken back. */
  run(): readonly string[] {
    const failed: string[] = []
    for (const back of this.#back.splice(0).reverse())
      try {
        back()
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error))
      }
    return failed
  }

  /** Removes what was only there for the way back. A file that stays is cleared away by the next install. */
  forget(): void {
    for (const path of this.#leftovers.splice(0)) rmSync(path, { force: true })
  }
}

/** Files that were written already: the next one of the same content may be another name of theirs. */
export class Written {
  readonly #paths = new Map<string, string[]>()
  readonly #isPerFolder: boolean

  /** `isPerFolder`: files of different folders are files of their own, because a label belongs to the file and not to its name. */
  constructor(isPerFolder: boolean) {
    this.#isPerFolder = isPerFolder
  }

  /** Notes a file, and returns those of before that may be the same one. */
  add(path: string, sha256: string): readonly string[] {
    const key = this.#isPerFolder ? `${sha256} ${folderOf(path)}` : sha256
    const known = this.#paths.get(key) ?? []
    this.#paths.set(key, [...known, path])
    return known
  }
}

/** Makes a folder. @throws InstallError */
export function makeFolder(path: string, mode: number, undo: Undo): void {
  try {
    mkdirSync(path, { mode })
    // Beside the umask.
    chmodSync(path, mode)
  } catch (error) {
    throw stepFailed('make the folder', path, error)
  }
  undo.add(() => rmdirSync(path))
}

/** Does a step. Whoever opens or executes the path meanwhile gets the old file or the new one, whole. @throws InstallError */
export function putFile(root: string, step: Step, written: Written, undo: Undo): void {
  const path = root + step.path
  const { content } = step
  const known = content.kind === 'file' ? written.add(path, content.sha256) : []
  if (step.does === 'keep') return
  const temporary = temporaryAt(path)
  try {
    if (content.kind === 'link') symlinkSync(content.target, temporary)
    else fill(temporary, step.from, content.mode, known)
    place(temporary, path, step, undo)
  } catch (error) {
    throw stepFailed(content.kind === 'link' ? 'make the link' : 'write', path, error)
  } finally {
    // Also after a rename to another name of the same file, which does nothing (rename(2)).
    forget(temporary)
  }
}

/** Removes a file that is only there for a moment. One that stays is cleared away by the next install. */
function forget(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The reason for which there is none, such as a read-only folder, is told already.
  }
}

/** Removes a file, or brings back the one that had to make room for it. @throws InstallError */
export function takeFile(path: string, isAside: boolean, undo: Undo): void {
  try {
    const backup = temporaryAt(path)
    if (isAside) {
      const had = isEntry(path)
      if (had) keepAs(path, backup)
      renameSync(path + asideEnd, path)
      // As two names of one file: rename(2) has done nothing then.
      rmSync(path + asideEnd, { force: true })
      undo.add(() => {
        renameSync(path, path + asideEnd)
        if (had) renameSync(backup, path)
      })
      if (had) undo.addLeftover(backup)
    } else {
      renameSync(path, backup)
      undo.add(() => renameSync(backup, path))
      undo.addLeftover(backup)
    }
    syncFolder(folderOf(path))
  } catch (error) {
    throw stepFailed('remove', path, error)
  }
}

/** Removes what an installer has left that was killed in the middle. Only one installer works at a time. */
export function clearLeftovers(folder: string, names: ReadonlySet<string>): void {
  for (const name of listFolder(folder)) {
    const meant = temporaryOf(name)
    if (meant !== undefined && names.has(meant)) rmSync(`${folder}/${name}`, { force: true })
  }
}

/** Errors of link(2) and of file systems that have no second names. */
const noSecondName = ['EXDEV', 'EPERM', 'EMLINK', 'EOPNOTSUPP', 'ENOSYS']

function fill(temporary: string, from: Step['from'], mode: number, known: readonly string[]): void {
  if (from !== undefined && 'file' in from) {
    if (known.some((one) => isLinked(one, temporary))) return
    copyFileSync(from.file, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  } else writeFileSync(temporary, from?.text ?? '', { flag: 'wx' })
  chmodSync(temporary, mode)
  const fd = openSync(temporary, 'r')
  closing(fd, () => fsyncSync(fd))
}

function isLinked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (noSecondName.includes(errorCode(error) ?? '')) return false
    throw error
  }
}

/** Gives a new file its name, and notes the way back. */
function place(temporary: string, path: string, { does }: Step, undo: Undo): void {
  if (does === 'make') {
    // Unlike rename(2), link(2) does not replace what somebody else has made since the plan.
    if (!isLinked(temporary, path)) renameSync(temporary, path)
    undo.add(() => rmSync(path, { force: true }))
  } else {
    const other = does === 'aside' ? path + asideEnd : temporaryAt(path)
    keepAs(path, other)
    undo.add(() => renameSync(other, path))
    if (does === 'replace') undo.addLeftover(other)
    renameSync(temporary, path)
  }
  syncFolder(folderOf(path))
}

/** Keeps the file at `path`, or that there is none, for the way back, before somebody else replaces it. */
export function keepBefore(path: string, undo: Undo): void {
  if (isEntry(path)) {
    const backup = temporaryAt(path)
    keepAs(path, backup)
    undo.add(() => renameSync(backup, path))
    undo.addLeftover(backup)
  } else undo.add(() => rmSync(path, { force: true }))
}

/** Gives a file a second name. Where there can be none, the file moves, and its name is free for a moment. */
function keepAs(path: string, other: string): void {
  if (!isLinked(path, other)) renameSync(path, other)
}
