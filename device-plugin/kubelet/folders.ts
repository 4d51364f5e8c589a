/** kubelet's folders: the way to register that they leave, and news about them, from notifications and a slow look behind them. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { identityAt } from '../../src/sys/file-sign.ts'
import { type FolderWatch, watchFolders } from '../../src/sys/folder-watch.ts'
import type { Way } from './observer.ts'
import type { Timings } from './settings.ts'

/** The folders as they are now. */
export interface Folders {
  /** The way to register and the folder for our sockets; undefined: kubelet has made neither folder yet. */
  readonly place: { readonly way: Way; readonly folder: string } | undefined
  /** Names of sockets in that folder, kubelet's own left out. */
  readonly sockets: readonly string[]
  /** Path of kubelet's socket for the legacy way, and a text that is another one for each socket made there; undefined: none. */
  readonly kubelet: { readonly path: string; readonly identity: string } | undefined
}

const REGISTRY = 'plugins_registry'
const LEGACY = 'device-plugins'
const KUBELET_SOCKET = 'kubelet.sock'

/**
 * Tells of the folders until the returned watch is closed. `tell` is called with the folders as they are, at once and after each sign
 * of a change. A watch that nobody closes keeps the process alive.
 */
export function watchKubelet(root: string, timings: Timings, tell: (folders: Folders) => void): FolderWatch {
  const { settle, poll, pollMissing } = timings
  let isMissing = true
  return watchFolders({
    folders: () => [root, join(root, REGISTRY), join(root, LEGACY)],
    look: () => {
      const folders = readFolders(root)
      isMissing = folders.place === undefined
      tell(folders)
    },
    settle,
    poll: () => (isMissing ? pollMissing : poll),
  })
}

/** Looks once. The watched folder is chosen if there is one, as sriov-network-device-plugin does. */
export function readFolders(root: string): Folders {
  const way = identityAt(join(root, REGISTRY)) !== undefined ? 'watcher' : 'legacy'
  const folder = join(root, way === 'watcher' ? REGISTRY : LEGACY)
  const kubelet = join(root, LEGACY, KUBELET_SOCKET)
  const identity = identityAt(kubelet)
  const names = namesIn(folder)
  return {
    place: names === undefined ? undefined : { way, folder },
    sockets: (names ?? []).filter((name) => name.endsWith('.sock') && name !== KUBELET_SOCKET),
    kubelet: identity === undefined ? undefined : { path: kubelet, identity },
  }
}

function namesIn(folder: string): readonly string[] | undefined {
  try {
    return readdirSync(folder)
  } catch {
    return undefined
  }
}
