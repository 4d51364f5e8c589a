/** The folders that a call reads and writes, as a process with another root directory or other mounts sees them. */
import { dirname } from 'node:path'
import { get, isObject, type JsonObject, parse } from '../../lib/json.ts'
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

/** Folders in which IPAM plugins keep their leases. */
const leases: readonly Folder[] = ['/var/lib/cni', '/var/lib/cni/networks'].map((path) => ({
  path,
  name: 'folder of leases',
}))

/** The name of the first folder that is another one below `root` than here; undefined where all are the same. @throws SystemError */
export function otherFolder(root: number, { env, stdin }: FolderWishes): string | undefined {
  const plugins = (env.CNI_PATH ?? '').split(':').filter((path) => path !== '')
  const all = [
    ...always,
    ...foldersOf(stdin),
    ...leases,
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

/** The config's state folder, or the default one, and the folder of its leases: the plugin refuses a config that can't be read. */
function foldersOf(stdin: string): readonly Folder[] {
  const config = parsed(stdin)
  const ipam = get(config, 'ipam')
  const [stateDir, dataDir] = [get(config, 'stateDir'), isObject(ipam) ? get(ipam, 'dataDir') : undefined]
  return [
    { path: isPath(stateDir) ? stateDir : defaultStateDir, name: 'state folder' },
    ...(isPath(dataDir) ? [{ path: dataDir, name: 'folder of leases' }] : []),
  ]
}

function parsed(text: string): JsonObject {
  try {
    const value = parse(text)
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && value.startsWith('/')
}
