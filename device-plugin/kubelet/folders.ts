/** kubelet's folders: the way to register that they leave, and news about them, from notifications and a slow look behind them. */
import { type FSWatcher, readdirSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Way } from './observer.ts'
import type { Timings } from './settings.ts'
import { lstatOf } from './socket-file.ts'

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

/** Tells of the folders as long as it is open. */
export class FolderWatch {
  readonly #root: string
  readonly #timings: Timings
  readonly #tell: (folders: Folders) => void
  /** By path, with the folder that is watched. */
  readonly #watches = new Map<string, { readonly watch: FSWatcher; readonly identity: string }>()
  #settling: NodeJS.Timeout | undefined
  #poll: NodeJS.Timeout | undefined
  #isClosed = false

  /** @param tell is called with the folders as they are, at once and after each sign of a change */
  constructor(root: string, timings: Timings, tell: (folders: Folders) => void) {
    this.#root = root
    this.#timings = timings
    this.#tell = tell
    this.#look()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#settling)
    clearTimeout(this.#poll)
    for (const path of [...this.#watches.keys()]) this.#unwatch(path)
  }

  #look(): void {
    if (this.#isClosed) return
    clearTimeout(this.#poll)
    // Watches come first: a change after the look must not be missed.
    for (const path of [this.#root, join(this.#root, REGISTRY), join(this.#root, LEGACY)]) this.#rewatch(path)
    const folders = readFolders(this.#root)
    const { poll, pollMissing } = this.#timings
    this.#poll = setTimeout(() => this.#look(), folders.place === undefined ? pollMissing : poll)
    this.#tell(folders)
  }

  /** Watches the folder that is at a path now. A watch stays with a folder that was removed. */
  #rewatch(path: string): void {
    const identity = identityAt(path)
    if (identity === this.#watches.get(path)?.identity) return
    this.#unwatch(path)
    if (identity === undefined) return
    try {
      const opened = watch(path, () => this.#changed())
      opened.on('error', () => this.#unwatch(path))
      this.#watches.set(path, { watch: opened, identity })
    } catch {
      // No watch is to be had (ENOSPC, or the folder is gone again): the slow look goes on.
    }
  }

  #unwatch(path: string): void {
    this.#watches.get(path)?.watch.close()
    this.#watches.delete(path)
  }

  #changed(): void {
    if (this.#isClosed || this.#settling !== undefined) return
    this.#settling = setTimeout(() => {
      this.#settling = undefined
      this.#look()
    }, this.#timings.settle)
  }
}

/** Looks once. The peer's choice: the watched folder if there is one. */
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

/** A text that no other file has at this path at another time; undefined: no file. */
function identityAt(path: string): string | undefined {
  try {
    const stat = lstatOf(path)
    // The number of an inode is given again soon; the time of birth tells the two apart.
    return stat && `${stat.dev} ${stat.ino} ${stat.birthtimeNs}`
  } catch {
    return undefined
  }
}

function namesIn(folder: string): readonly string[] | undefined {
  try {
    return readdirSync(folder)
  } catch {
    return undefined
  }
}
