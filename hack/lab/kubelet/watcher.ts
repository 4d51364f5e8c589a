// kubelet's plugin watcher: sockets that appear in a folder, and those that disappear. A rename counts as an appearance, as it does
// in kubelet's own library.
import { type FSWatcher, lstatSync, mkdirSync, readdirSync, watch } from 'node:fs'
import { join } from 'node:path'

/** Milliseconds for which a missing name may be on its way back: only a removal counts, no rename to another name. */
const SETTLE_MS = 20

/** Takes note of sockets, by path. */
export interface SocketEvents {
  created(path: string): void
  removed(path: string): void
}

/** Watches a folder; makes it first. Names that begin with a dot do not count. */
export class SocketWatcher {
  readonly #folder: string
  readonly #events: SocketEvents
  readonly #seen = new Map<string, string>()
  #watch: FSWatcher | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(folder: string, events: SocketEvents) {
    this.#folder = folder
    this.#events = events
  }

  start(): void {
    mkdirSync(this.#folder, { recursive: true })
    this.#watch = watch(this.#folder, () => {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#look(), SETTLE_MS)
    })
    this.#watch.on('error', () => undefined)
    this.#look()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#watch?.close()
    this.#watch = undefined
    this.#seen.clear()
  }

  #look(): void {
    const now = new Map(namesIn(this.#folder).flatMap((name) => this.#identity(name)))
    for (const name of [...this.#seen.keys()].filter((name) => !now.has(name))) {
      this.#seen.delete(name)
      this.#events.removed(join(this.#folder, name))
    }
    for (const [name, identity] of now) {
      if (this.#seen.get(name) === identity) continue
      this.#seen.set(name, identity)
      this.#events.created(join(this.#folder, name))
    }
  }

  #identity(name: string): [string, string][] {
    if (name.startsWith('.')) return []
    try {
      const stat = lstatSync(join(this.#folder, name), { bigint: true })
      return stat.isSocket() ? [[name, `${stat.ino} ${stat.ctimeNs}`]] : []
    } catch {
      return []
    }
  }
}

/** Names in a folder, none when the folder is missing. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
