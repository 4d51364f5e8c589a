/** The folders that a call reads and writes, as a process with another root directory or other mounts sees them. */
import { dirname } from 'node:path'
import { get, isObject, parse } from '../../lib/json.ts'
import { defaultStateDir } from '../../records/store.ts'
import { settingsFolder } from '../../run-cni.ts'
import { fileAt, fileBelow } from './files.ts'

/** A folder of a call, with its name in the reason of a refusal. */
interface Folder {
  readonly path: string
  readonly name: string
}

/** The part of a call that says which folders it uses. */
export interface FolderWishes {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdin: string
}

/** Folders of every call. */
const always: readonly Folder[] = [
  { path: '/', name: 'root directory' },
  { path: '/proc', name: '/proc' },
  { path: '/sys', name: '/sys' },
  { path: '/run', name: '/run' },
  { path: settingsFolder, name: settingsFolder },
]

/** The name of the first folder that is another one below `root` than here; undefined where all are the same. @throws SystemError */
export function otherFolder(root: number, { env, stdin }: FolderWishes): string | undefined {
  const plugins = (env.CNI_PATH ?? '').split(':').filter((path) => path !== '')
  const all = [
    ...always,
    { path: stateDirOf(stdin), name: 'state folder' },
    ...plugins.map((path) => ({
      path: path.startsWith('/') ? path : `/${path}`,
      name: 'folder of CNI_PATH',
    })),
  ]
  return all.find(({ path }) => !isSame(root, path))?.name
}

/**
 * True where both see the same file at the path. A path that leads both to nothing leads to the same place once somebody makes the folder
 * there, if the folder above is the same.
 */
function isSame(root: number, path: string): boolean {
  const [ours, theirs] = [fileAt(path), fileBelow(root, path)]
  if (ours === undefined && theirs === undefined) return path === '/' || isSame(root, dirname(path))
  return ours?.file === theirs?.file
}

/** The config's state folder, or the default one: the plugin refuses a config that can't be read. */
function stateDirOf(stdin: string): string {
  try {
    const config = parse(stdin)
    const stateDir = isObject(config) ? get(config, 'stateDir') : undefined
    return typeof stateDir === 'string' && stateDir.startsWith('/') ? stateDir : defaultStateDir
  } catch {
    return defaultStateDir
  }
}
