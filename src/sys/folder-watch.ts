/**
 * Follows folders by inotify(7), also those that come later or are replaced. A watch of the kernel belongs to a folder and not to its
 * path, so each look opens the watches of the folders that are there now. A slow look finds what no event tells.
 */
import { type FSWatcher, watch } from 'node:fs'
import { dirname } from 'node:path'
import { identityAt } from './file-sign.ts'

/** The things to follow, and the times in milliseconds. */
export interface FolderWatchOptions {
  /** Paths of the folders that matter now, asked for at each look. The lowest folder above stands for one that is not there. */
  readonly folders: () => readonly string[]
  /** Looks at the files: called at once, after events and every `poll`. Events of a change during a call lead to another call. */
  readonly look: (isAfterEvent: boolean) => void
  /** From the first event to the look: several events are one. */
  readonly settle: number
  /** From one look to the next without an event; asked for after each look. */
  readonly poll: () => number
  /** False: the watch alone does not keep the process alive. Default true. */
  readonly keepsProcess?: boolean
}

/** A running watch. */
export interface FolderWatch {
  /** Looks now, as after an event. */
  look(): void
  /** Ends the watch: nothing is called any more. */
  close(): void
}

/** Begins to follow folders. A folder that can't be watched (fs.inotify.max_user_watches) is left to the slow look. */
export function watchFolders(options: FolderWatchOptions): FolderWatch {
  return new Following(options)
}

class Following implements FolderWatch {
  readonly #options: FolderWatchOptions
  readonly #isPersistent: boolean
  /** By identity and path of the folder. */
  readonly #watches = new Map<string, FSWatcher>()
  #settling: NodeJS.Timeout | undefined
  #poll: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: FolderWatchOptions) {
    this.#options = options
    this.#isPersistent = options.keepsProcess ?? true
    this.look()
  }

  look(): void {
    if (this.#isClosed) return
    const isAfterEvent = this.#settling !== undefined
    clearTimeout(this.#settling)
    this.#settling = undefined
    // Watches come first: a change after the look makes an event.
    this.#renew()
    try {
      this.#options.look(isAfterEvent)
    } finally {
      clearTimeout(this.#poll)
      if (!this.#isClosed) this.#poll = this.#later(this.#options.poll())
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#settling)
    clearTimeout(this.#poll)
    for (const key of [...this.#watches.keys()]) this.#end(key)
  }

  #renew(): void {
    const wanted = new Map(this.#options.folders().flatMap((path) => standIn(path)))
    for (const key of [...this.#watches.keys()]) if (!wanted.has(key)) this.#end(key)
    for (const [key, folder] of wanted) {
      if (this.#watches.has(key)) continue
      try {
        const opened = watch(folder, { persistent: this.#isPersistent }, () => this.#changed())
        // The next look opens the watch anew.
        opened.on('error', () => this.#end(key))
        this.#watches.set(key, opened)
      } catch {
        // No watch is to be had, or the folder is gone again.
      }
    }
  }

  #end(key: string): void {
    this.#watches.get(key)?.close()
    this.#watches.delete(key)
  }

  #changed(): void {
    if (!this.#isClosed) this.#settling ??= this.#later(this.#options.settle)
  }

  #later(milliseconds: number): NodeJS.Timeout {
    const timer = setTimeout(() => this.look(), milliseconds)
    return this.#isPersistent ? timer : timer.unref()
  }
}

/** The key and the path of a folder, or of the lowest one above that is there. */
function standIn(path: string): [key: string, folder: string][] {
  for (let folder = path; ; folder = dirname(folder)) {
    const identity = identityAt(folder)
    if (identity !== undefined) return [[`${identity} ${folder}`, folder]]
    if (folder === dirname(folder)) return []
  }
}
