/**
 * Bounds for the paths in a network config at which root writes. Anybody may be the author of the config, so these paths have to
 * stay below folders that the operator allows, wherever symbolic links lead.
 */
import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { partsOf } from './path.ts'
import { isOwn, octal } from './trusted-file.ts'

/** A path that must not be used. `message` is the reason or the allowed paths, in words that follow "Cannot use KEY VALUE: ". */
export class OutOfBounds extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'OutOfBounds'
  }
}

/**
 * Resolves `path`: returns the path without symbolic links, which must be one of `folders` or lie below one. The end of the path
 * need not exist. The folders on the way, below the allowed one, must be root's and writable for root alone: otherwise somebody
 * else could put a link there afterwards.
 * @throws OutOfBounds
 */
export function boundedPath(path: string, folders: readonly string[]): string {
  if (!path.startsWith('/') || path.includes('\0') || path.split('/').includes('..'))
    throw new OutOfBounds('must be an absolute path without ".."')
  const allowed = folders.length === 0 ? 'no folder is allowed' : `must be below ${folders.join(' or ')}`
  const real = resolved(path)
  const bound = folders.map(resolved).find((folder) => isBelow(real, folder))
  if (bound === undefined) {
    const isLed = folders.some((folder) => isBelow(path, folder))
    throw new OutOfBounds(isLed ? `it leads to "${real}"; ${allowed}` : allowed)
  }
  for (const folder of foldersBetween(bound, real)) requireSafe(folder)
  return real
}

/** Resolves the longest part that exists; the rest follows as it stands. */
function resolved(path: string): string {
  const parts = partsOf(path)
  for (let count = parts.length; ; count--) {
    const head = `/${parts.slice(0, count).join('/')}`
    const real = realOf(head)
    if (real === undefined) continue
    const rest = parts.slice(count).join('/')
    return rest === '' ? real : `${real === '/' ? '' : real}/${rest}`
  }
}

/** Undefined for a path that does not exist. */
function realOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENAMETOOLONG') throw new OutOfBounds('ENAMETOOLONG: it is longer than a path may be')
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw new OutOfBounds(message)
  }
  if (statOf(path)?.isSymbolicLink() === true)
    throw new OutOfBounds(`"${path}" is a symbolic link to what does not exist`)
  return undefined
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

/** The folders that `path` goes through below `top`, `path` itself included. */
function foldersBetween(top: string, path: string): string[] {
  const rest = partsOf(path.slice(top.length))
  const base = top === '/' ? '' : top
  return rest.map((_, index) => `${base}/${rest.slice(0, index + 1).join('/')}`)
}

function requireSafe(path: string): void {
  const stats = statOf(path)
  if (stats === undefined || !stats.isDirectory()) return
  if (!isOwn(stats.uid))
    throw new OutOfBounds(`the folder "${path}" belongs to user ${stats.uid}; must belong to root`)
  if ((stats.mode & 0o022) !== 0) {
    const words = `others may write into the folder "${path}" (mode ${octal(stats)})`
    throw new OutOfBounds(`${words}; must be writable for root alone`)
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined // gone, or below a file
  }
}
